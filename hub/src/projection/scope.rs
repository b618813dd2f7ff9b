//! Whom an agreement's scope covers, decided on the record's bytes. The areas that a document names are
//! followed to those in force, and these resolved to all the areas of earlier orders that lie in
//! them: an address matches by the codes it was registered with.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use dancu_proto::{Areas, CommuneKey, Field, ProvinceKey};

use super::{AgreementState, Day};
use crate::{
    agreements::{AreaScope, Conditions, ResidenceKinds, Scope},
    registry::{ListId, Partition, Residence, Subject, birth_of, residence_areas},
};

/// Whom a scope covers, as of a state of the administrative order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coverage {
    areas: Covered,
    residence: ResidenceKinds,
    conditions: Conditions,
}

/// Where those who are covered live.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Covered {
    /// Anywhere.
    Nation,
    /// In these areas.
    Listed {
        provinces: BTreeSet<ProvinceKey>,
        /// Communes beside those provinces, each with its own.
        communes: BTreeMap<CommuneKey, ProvinceKey>,
    },
    /// Anywhere, but on this list; no one as long as there is none.
    List(Option<ListId>),
}

impl Coverage {
    /// A scope, whose areas are named by the order of number `written_under`. `list` is the interest list
    /// of the node, for a scope that asks for one.
    pub(super) fn of(scope: &Scope, written_under: u32, areas: &Areas, list: Option<ListId>) -> Coverage {
        let covered = match scope.followed(written_under, areas).areas {
            AreaScope::Nation => Covered::Nation,
            AreaScope::Interest => Covered::List(list),
            AreaScope::Listed { provinces, communes } => {
                let province_of = |commune: CommuneKey| {
                    let known = areas.division(commune.division())?.commune(commune.code())?;
                    Some((commune, known.province.under(commune.division())))
                };
                Covered::Listed {
                    provinces: provinces
                        .into_iter()
                        .flat_map(|code| areas.provinces_in(code))
                        .copied()
                        .collect(),
                    communes: communes
                        .into_iter()
                        .flat_map(|code| areas.communes_in(code))
                        .filter_map(|commune| province_of(*commune))
                        .collect(),
                }
            }
        };
        Coverage { areas: covered, residence: scope.residence, conditions: scope.conditions.clone() }
    }

    /// The ages at which someone enters or leaves it.
    pub(super) fn ages(&self) -> impl Iterator<Item = u32> {
        [self.conditions.age_from, self.conditions.age_below].into_iter().flatten()
    }

    /// The interest list, where it is one.
    pub(super) fn list(&self) -> Option<ListId> {
        match self.areas {
            Covered::List(list) => list,
            _ => None,
        }
    }
}

/// A place, by the order that its address is written by, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Province.
    pub province: Option<ProvinceKey>,
    /// Commune.
    pub commune: Option<CommuneKey>,
}

/// By how wide an area a place is covered, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// The commune is named.
    Commune,
    /// The province is.
    Province,
    /// Everywhere is.
    Nation,
}

/// How the areas of a scope cover a place; an interest list covers people and no places.
pub(super) fn reach(scope: &Coverage, place: Place) -> Option<Reach> {
    match &scope.areas {
        Covered::Nation => Some(Reach::Nation),
        Covered::List(_) => None,
        Covered::Listed { provinces, communes } => {
            if place.commune.is_some_and(|commune| communes.contains_key(&commune)) {
                return Some(Reach::Commune);
            }
            place.province.is_some_and(|province| provinces.contains(&province)).then_some(Reach::Province)
        }
    }
}

/// The places by which the areas of a scope are named: none in particular for the nation, else a province or a
/// commune each. Whoever looks by these finds what [`reach`] covers.
pub(super) fn places(scope: &Coverage) -> Vec<Place> {
    match &scope.areas {
        Covered::Nation => vec![Place::default()],
        Covered::List(_) => Vec::new(),
        Covered::Listed { provinces, communes } => {
            let provinces = provinces.iter().map(|code| Place { province: Some(*code), commune: None });
            let communes = communes.keys().map(|code| Place { province: None, commune: Some(*code) });
            provinces.chain(communes).collect()
        }
    }
}

/// What scopes ask about a citizen, found out when they do: most ask little.
pub(super) struct Facts<'a> {
    citizen: Subject<'a>,
    residences: OnceCell<Vec<Residence>>,
    born: OnceCell<u32>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(citizen: Subject<'a>) -> Facts<'a> {
        Facts { citizen, residences: OnceCell::new(), born: OnceCell::new() }
    }

    fn residences(&self) -> &[Residence] {
        self.residences.get_or_init(|| residence_areas(self.citizen.record))
    }

    fn is_living(&self) -> bool {
        self.citizen.record.value(Field::DateOfDeath).is_none()
    }

    /// Birth date as yyyymmdd, an unknown part counting as the first of its kind; 0 where there is no
    /// date.
    fn born(&self) -> u32 {
        *self.born.get_or_init(|| {
            birth_of(self.citizen.record)
                .map_or(0, |date| date.year * 10_000 + date.month.max(1) * 100 + date.day.max(1))
        })
    }
}

/// Whether a scope covers a citizen on a day.
pub(super) fn covers(scope: &Coverage, facts: &Facts<'_>, day: Day) -> bool {
    let conditions = &scope.conditions;
    let living = conditions.living.is_none_or(|living| living == facts.is_living());
    let from = conditions.born_from.is_none_or(|date| facts.born() >= date.as_number());
    let until =
        conditions.born_until.is_none_or(|date| facts.born() != 0 && facts.born() <= date.as_number());
    living && from && until && is_of_age(conditions, facts, day) && lives_in(scope, facts)
}

/// Ages are counted from birth dates, so they say nothing of whom has none.
fn is_of_age(conditions: &Conditions, facts: &Facts<'_>, day: Day) -> bool {
    if conditions.age_from.is_none() && conditions.age_below.is_none() {
        return true;
    }
    day.age(facts.born()).is_some_and(|age| {
        conditions.age_from.is_none_or(|from| age >= from)
            && conditions.age_below.is_none_or(|below| age < below)
    })
}

fn lives_in(scope: &Coverage, facts: &Facts<'_>) -> bool {
    let (provinces, communes) = match &scope.areas {
        Covered::Nation => return true,
        Covered::List(list) => return list.is_some_and(|list| facts.citizen.lists.contains(&list)),
        Covered::Listed { provinces, communes } => (provinces, communes),
    };
    facts.residences().iter().any(|(field, province, commune)| {
        counts(scope.residence, *field)
            && (province.is_some_and(|code| provinces.contains(&code))
                || commune.is_some_and(|code| communes.contains_key(&code)))
    })
}

fn counts(kinds: ResidenceKinds, field: Field) -> bool {
    match field {
        Field::PermanentResidence => kinds.permanent,
        Field::TemporaryResidence => kinds.temporary,
        _ => kinds.dwelling,
    }
}

/// The partitions that together have everyone a scope may cover.
pub(super) fn partitions(scope: &Coverage) -> Vec<Partition> {
    match &scope.areas {
        Covered::Nation => vec![Partition::Nation],
        Covered::List(list) => list.iter().map(|list| Partition::List(*list)).collect(),
        Covered::Listed { provinces, communes } => {
            let provinces = provinces.iter().map(|code| Partition::Province(*code));
            provinces.chain(communes.keys().map(|code| Partition::Commune(*code))).collect()
        }
    }
}

/// The partitions that the areas of an agreement come to under administrative orders; none where it
/// names no areas.
#[must_use]
pub fn partitions_named(agreement: &AgreementState, areas: &Areas) -> Vec<Partition> {
    let scope = &agreement.agreement.scope;
    match scope.areas {
        AreaScope::Listed { .. } => partitions(&Coverage::of(scope, agreement.written_under, areas, None)),
        AreaScope::Nation | AreaScope::Interest => Vec::new(),
    }
}

/// Whether one scope covers everyone that another does.
pub(super) fn contains(wide: &Coverage, narrow: &Coverage) -> bool {
    let areas = match (&wide.areas, &narrow.areas) {
        (Covered::Nation, _) => true,
        (Covered::List(wide), Covered::List(narrow)) => narrow.is_none() || wide == narrow,
        (Covered::Listed { .. }, Covered::Nation | Covered::List(_)) | (Covered::List(_), _) => false,
        (Covered::Listed { provinces, communes }, Covered::Listed { provinces: p, communes: c }) => {
            p.is_subset(provinces)
                && c.iter().all(|(code, of)| communes.contains_key(code) || provinces.contains(of))
                && within(narrow.residence, wide.residence)
        }
    };
    let (wide, narrow) = (&wide.conditions, &narrow.conditions);
    let living = wide.living.is_none() || wide.living == narrow.living;
    let from =
        wide.born_from.is_none_or(|date| narrow.born_from.is_some_and(|d| d.as_number() >= date.as_number()));
    let until = wide
        .born_until
        .is_none_or(|date| narrow.born_until.is_some_and(|d| d.as_number() <= date.as_number()));
    let old = wide.age_from.is_none_or(|age| narrow.age_from.is_some_and(|n| n >= age));
    let young = wide.age_below.is_none_or(|age| narrow.age_below.is_some_and(|n| n <= age));
    // A scope by age covers no one without a birth date, and neither does a narrower one.
    areas && living && from && until && old && young
}

fn within(narrow: ResidenceKinds, wide: ResidenceKinds) -> bool {
    (!narrow.permanent || wide.permanent)
        && (!narrow.temporary || wide.temporary)
        && (!narrow.dwelling || wide.dwelling)
}

/// The partitions whose members may be covered by `old` and no longer by `new`.
pub(super) fn lost(old: &Coverage, new: &Coverage) -> Vec<Partition> {
    if contains(new, old) {
        return Vec::new();
    }
    let of_old = partitions(old);
    let same_but_areas = old.residence == new.residence && old.conditions == new.conditions;
    match (&new.areas, same_but_areas) {
        (Covered::Listed { .. }, true) => {
            let of_new = partitions(new);
            of_old.into_iter().filter(|partition| !of_new.contains(partition)).collect()
        }
        _ => of_old,
    }
}
