//! Who follows is told of what its purpose gives, and of nothing else that happens.

use std::{collections::BTreeSet, time::Duration};

use dancu_proto::{Field, node::v1::WatchCitizensRequest};
use prost::Message;
use rand::{Rng, seq::IndexedRandom};
use tokio::time::timeout;

use super::{Law, OWN, why};

/// People to whom something happens.
const CHANGED: usize = 40;
/// Fields that change, and how one reads them of somebody.
type Read = fn(&dancu_proto::v1::Citizen) -> &String;
const FIELDS: [(Field, Read); 4] = [
    (Field::Email, |one| &one.email),
    (Field::OtherName, |one| &one.other_name),
    (Field::ResidenceFileNumber, |one| &one.residence_file_number),
    (Field::RelationToHouseholdHead, |one| &one.relation_to_household_head),
];

impl Law {
    pub(super) async fn following(&mut self) {
        let request = WatchCitizensRequest { context: Some(why(OWN)), ..Default::default() };
        let responses = self.caller.citizens().watch_citizens(request).await.unwrap();
        let mut responses = responses.into_inner();
        responses.message().await.unwrap().unwrap();
        let mut expected = BTreeSet::new();
        for _ in 0..CHANGED {
            let person = self.rng.random_range(0..self.marked.people.len());
            let (field, read) = *FIELDS.choose(&mut self.rng).unwrap();
            let one = &self.marked.people[person];
            // The word that says whose it is and of which field is still in it.
            let set = format!("{}=x{}{}", field.name(), self.rng.random_range(0..1000), read(one));
            let why = ["--reason", "test", "--document", "T/1", "--effective", "2026-01-01"];
            let change = [&["change", &one.personal_id, "--set", &set][..], &why].concat();
            self.hub.cli(&change).await.unwrap();
            if self.gives(person, "watch").is_some_and(|fields| fields.contains(field)) {
                expected.insert((person, field));
            }
        }
        self.node.reaches(self.hub.head().await).await;
        let mut told = BTreeSet::new();
        while let Ok(response) = timeout(Duration::from_secs(1), responses.message()).await {
            let bytes = response.unwrap().unwrap().encode_to_vec();
            let values = self.marked.values_in(&bytes);
            for (person, field) in values {
                let fields = self.gives(person, "watch").unwrap_or_default();
                assert!(fields.contains(field), "{field} of somebody was told");
                told.insert((person, field));
            }
        }
        // The number comes with every change.
        told.retain(|(_, field)| *field != Field::PersonalId);
        assert_eq!(told, expected);
    }
}
