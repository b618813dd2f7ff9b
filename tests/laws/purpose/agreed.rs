//! The agreements that are tried: other ones by each seed.

use dancu_proto::{
    Field,
    v1::{Address, Citizen},
};
use dancu_tests::testkit::Agreement;
use rand::{Rng, rngs::SmallRng};

use super::{OWN, marked::PLACES};

/// An agreement, and what may be done under it.
pub(super) struct Agreed {
    pub(super) agreement: Agreement,
    pub(super) operations: Vec<&'static str>,
    /// Officers are vouched for, and need not be listed.
    pub(super) vouched: bool,
}

fn lives_in(agreement: &Agreement, address: Option<&Address>) -> bool {
    address.is_some_and(|address| {
        agreement.provinces.contains(&address.province) || agreement.communes.contains(&address.commune)
    })
}

/// Whether somebody is in the scope of an agreement.
pub(super) fn covers(agreement: &Agreement, one: &Citizen) -> bool {
    let nation = agreement.provinces.is_empty() && agreement.communes.is_empty();
    let temporary = one.temporary_residence.as_ref().and_then(|residence| residence.address.as_ref());
    nation || lives_in(agreement, one.permanent_residence.as_ref()) || lives_in(agreement, temporary)
}

/// Agreements of three purposes, with other fields, operations and areas each time. The caller's own cover
/// no one in the last two places, and nobody covers the last.
pub(super) fn agreements(rng: &mut SmallRng) -> Vec<Agreed> {
    let mut agreed = Vec::new();
    for (purpose, places) in
        [(OWN, vec![0]), (OWN, vec![1]), ("b", vec![0, 2]), ("c", vec![1, 2]), (OWN, vec![0])]
    {
        let number = agreed.len();
        let mut fields: Vec<String> = Field::ALL[1..]
            .iter()
            .filter(|_| rng.random_bool(0.4))
            .map(|field| field.name().to_owned())
            .collect();
        // Enough to be found by, mostly.
        for name in ["full_name", "date_of_birth", "sex"] {
            if !fields.iter().any(|field| field == name) && (name == "sex" || rng.random_bool(0.6)) {
                fields.push(name.into());
            }
        }
        let all = ["lookup", "verify", "reconcile", "watch"];
        let mut operations: Vec<_> =
            all.into_iter().filter(|_| number == 0 || rng.random_bool(0.6)).collect();
        if operations.is_empty() {
            operations.push("lookup");
        }
        let by_commune = rng.random_bool(0.3);
        let codes = |by: bool, of: fn(usize) -> &'static str| -> Vec<String> {
            places.iter().filter(|_| by).map(|place| of(*place).to_owned()).collect()
        };
        let agreement = Agreement {
            id: format!("agreement-{number}"),
            version: 1,
            agency: "agency".into(),
            purpose: purpose.into(),
            fields,
            provinces: codes(!by_commune, |place| PLACES[place].0),
            communes: codes(by_commune, |place| PLACES[place].1),
            offline_limit: "1d".into(),
        };
        // The last of the caller's own is for officers who are listed, and none is.
        agreed.push(Agreed { agreement, operations, vouched: number != 4 });
    }
    agreed
}
