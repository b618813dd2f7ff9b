//! What is in question is told of the fields that the purpose gives, by every call, and of no other.

use std::{collections::BTreeMap, time::Duration};

use dancu_proto::{
    Field, FieldSet, Record,
    node::v1::{CitizenChangeKind, WatchCitizensRequest, watch_citizens_response::Event},
};
use tokio::time::timeout;

use super::{CITIZENS, Law, OWN, why};
use crate::questions::{question, some_fields};

impl Law {
    pub(super) async fn questions(&mut self) {
        self.come_into_question().await;
        self.own_fields().await;
        self.namesakes().await;
        self.those_who_are_not_there().await;
        // Some are settled, and others come.
        self.come_into_question().await;
    }

    /// Fields of everybody come into question, of some none; who follows is told so of its own.
    async fn come_into_question(&mut self) {
        let request = WatchCitizensRequest { context: Some(why(OWN)), ..Default::default() };
        let responses = self.caller.citizens().watch_citizens(request).await.unwrap();
        let mut responses = responses.into_inner();
        responses.message().await.unwrap().unwrap();
        let fields: Vec<_> = (0..CITIZENS).map(|_| some_fields(&mut self.rng)).collect();
        let people = self.marked.people.iter().map(|one| one.personal_id.clone());
        let of: Vec<_> = people.zip(fields.iter().copied()).collect();
        question(&mut self.hub, &of).await;
        self.node.reaches(self.hub.head().await).await;

        let mut expected = BTreeMap::new();
        for (person, (old, new)) in self.questions.iter().zip(&fields).enumerate() {
            let changed = old.union(*new).difference(old.intersection(*new));
            let changed = changed.intersection(self.gives(person, "watch").unwrap_or_default());
            if !changed.is_empty() {
                expected.insert(person, (changed, new.intersection(changed)));
            }
        }
        let mut told = BTreeMap::new();
        while let Ok(response) = timeout(Duration::from_secs(1), responses.message()).await {
            let Some(Event::Citizen(change)) = response.unwrap().unwrap().event else { continue };
            assert_eq!(change.kind(), CitizenChangeKind::Changed);
            let one = |id: &str| self.marked.people.iter().position(|one| one.personal_id == id).unwrap();
            let listed = |numbers: &[i32]| -> FieldSet {
                numbers.iter().map(|number| Field::try_from(*number).unwrap()).collect()
            };
            let changed = listed(&change.changed);
            let record = Record::encode(change.citizen.as_ref().unwrap());
            let mut values = record.fields();
            values.remove(Field::PersonalId);
            assert!(values.difference(changed).is_empty(), "what did not change is not told");
            let mut now = record.in_question();
            if !changed.contains(Field::PersonalId) {
                // The number comes with every change, and so does what is in question of it.
                now.remove(Field::PersonalId);
            }
            assert!(told.insert(one(&change.personal_id), (changed, now)).is_none(), "told once");
        }
        assert_eq!(told, expected);
        println!("{} people told of in whom something came into question or was settled", told.len());
        self.questions = fields;
    }
}
