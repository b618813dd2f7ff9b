//! Starts real hubs and nodes, so that a test reads like the sentence it proves:
//!
//! ```ignore
//! let hub = Hub::start().await;
//! let node = hub.enroll("ha-giang", "tuyen-quang").await;
//! ```

mod caller;
mod contribution;
mod disk;
mod hub;
mod line;
mod mirror;
mod node;
mod process;
mod sender;
mod simulated;

pub use self::{
    caller::Caller,
    contribution::blood_type,
    disk::Disk,
    hub::{Agreement, Hub},
    line::Line,
    mirror::{Copy, Everyone, Mirror},
    node::Node,
    process::free_port,
    sender::{Became, Sender},
    simulated::{Held, Holding, Observation, Simulated, Traffic, Watcher},
};

use std::{future::Future, time::Duration};

use dancu_proto::{
    area::Areas,
    v1::{Address, Citizen},
};

use crate::population::Population;

/// People as a registry stores them: each address with the province its commune lies in.
#[must_use]
pub fn people(seed: u64, citizens: u32) -> Vec<Citizen> {
    let mut people: Vec<Citizen> = Population::new(seed, citizens).iter().collect();
    people.iter_mut().for_each(fill_provinces);
    people
}

/// So many of them who are alive: of the dead some events are looked at by somebody first.
///
/// # Panics
/// If hardly anybody is.
#[must_use]
pub fn living(seed: u64, count: usize) -> Vec<Citizen> {
    let citizens = u32::try_from(count + count / 4 + 50).expect("a number of people");
    let mut living = people(seed, citizens);
    living.retain(|person| person.date_of_death.is_none());
    living.truncate(count);
    assert_eq!(living.len(), count, "too few are alive");
    living
}

/// Gives each address the province its commune lies in.
pub fn fill_provinces(person: &mut Citizen) {
    let temporary = person.temporary_residence.as_mut().and_then(|residence| residence.address.as_mut());
    let addresses = [
        person.place_of_birth.as_mut(),
        person.place_of_birth_registration.as_mut(),
        person.place_of_origin.as_mut(),
        person.permanent_residence.as_mut(),
        person.current_dwelling.as_mut(),
        temporary,
    ];
    addresses.into_iter().flatten().for_each(fill_province);
}

fn fill_province(address: &mut Address) {
    if let Ok(commune) = Areas::shipped().in_force().parse_commune(&address.commune) {
        address.province = commune.province.to_string();
    }
}

/// Waits until something holds.
///
/// # Panics
/// If it does not within half a minute.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within half a minute");
}
