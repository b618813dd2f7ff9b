//! Fields come into question: set in the registry of a hub that stands still meanwhile, as many and as
//! oddly as no reviews would.

use std::sync::Arc;

use dancu_hub::registry::{CitizenUpdate, Commit, Content, Origin, Person, Registry};
use dancu_proto::{Field, FieldSet, Record};
use dancu_tests::testkit::Hub;
use rand::{Rng, rngs::SmallRng};
use time::OffsetDateTime;

/// Some fields of the catalogue; often none.
pub(crate) fn some_fields(rng: &mut SmallRng) -> FieldSet {
    let share = [0.0, 0.1, 0.5][rng.random_range(0..3)];
    Field::ALL.iter().copied().filter(|_| rng.random_bool(share)).collect()
}

/// Makes these fields, and no others, be in question of each of some people; the revision.
pub(crate) async fn question(hub: &mut Hub, of: &[(String, FieldSet)]) -> u64 {
    let update = |(number, fields): &(String, FieldSet)| {
        let person = Person::Known(number.parse().unwrap());
        CitizenUpdate::plain(person, Record::default(), FieldSet::EMPTY).with_in_question(*fields)
    };
    let content = Content::Citizens(of.iter().map(update).collect());
    hub.stop();
    let registry =
        Registry::open(&hub.data_dir(), 0, Arc::default(), Arc::new(OffsetDateTime::now_utc)).unwrap();
    let origin = Origin { source: "test".into(), ..Origin::default() };
    let done = registry.commit(Commit { origin, content }).await.unwrap();
    drop(registry);
    hub.restart().await;
    done.revision.0
}
