//! Whether an agreement's scope covers a citizen, decided on the record's bytes.

use dancu_proto::{CommuneCode, Field, ProvinceCode, area::Areas};

use super::Day;
use crate::{
    agreements::{AreaScope, Conditions, ResidenceKinds, Scope},
    registry::{ListId, Partition, Subject, birth_of, residence_areas},
};

/// What scopes ask about a citizen.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    residences: Vec<(Field, Option<ProvinceCode>, Option<CommuneCode>)>,
    lists: Vec<ListId>,
    living: bool,
    /// Birth date as yyyymmdd, an unknown part counting as the first of its kind; 0 where there is no
    /// date.
    born: u32,
}

impl Facts {
    pub(super) fn of(citizen: Subject<'_>) -> Facts {
        let record = citizen.record;
        Facts {
            residences: residence_areas(record),
            lists: citizen.lists.to_vec(),
            living: record.value(Field::DateOfDeath).is_none(),
            born: birth_of(record)
                .map_or(0, |date| date.year * 10_000 + date.month.max(1) * 100 + date.day.max(1)),
        }
    }
}

/// Whether a scope covers a citizen on a day.
pub(super) fn covers(scope: &Scope, facts: &Facts, day: Day) -> bool {
    let conditions = &scope.conditions;
    let living = conditions.living.is_none_or(|living| living == facts.living);
    let from = conditions.born_from.is_none_or(|date| facts.born >= date.as_number());
    let until = conditions.born_until.is_none_or(|date| facts.born != 0 && facts.born <= date.as_number());
    living && from && until && is_of_age(conditions, facts, day) && lives_in(scope, facts)
}

/// Ages are counted from birth dates, so they say nothing of whom has none.
fn is_of_age(conditions: &Conditions, facts: &Facts, day: Day) -> bool {
    if conditions.age_from.is_none() && conditions.age_below.is_none() {
        return true;
    }
    day.age(facts.born).is_some_and(|age| {
        conditions.age_from.is_none_or(|from| age >= from)
            && conditions.age_below.is_none_or(|below| age < below)
    })
}

fn lives_in(scope: &Scope, facts: &Facts) -> bool {
    let (provinces, communes) = match &scope.areas {
        AreaScope::Nation => return true,
        AreaScope::Interest { list } => return list.is_some_and(|list| facts.lists.contains(&list)),
        AreaScope::Listed { provinces, communes } => (provinces, communes),
    };
    facts.residences.iter().any(|(field, province, commune)| {
        counts(scope.residence, *field)
            && (province.is_some_and(|code| provinces.contains(&code))
                || commune.is_some_and(|code| communes.contains(&code)))
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
pub(super) fn partitions(scope: &Scope) -> Vec<Partition> {
    match &scope.areas {
        AreaScope::Nation => vec![Partition::Nation],
        AreaScope::Interest { list } => list.iter().map(|list| Partition::List(*list)).collect(),
        AreaScope::Listed { provinces, communes } => {
            let provinces = provinces.iter().map(|code| Partition::Province(*code));
            provinces.chain(communes.iter().map(|code| Partition::Commune(*code))).collect()
        }
    }
}

/// Whether one scope covers everyone that another does.
pub(super) fn contains(wide: &Scope, narrow: &Scope) -> bool {
    let areas = match (&wide.areas, &narrow.areas) {
        (AreaScope::Nation, _) => true,
        (AreaScope::Interest { list: wide }, AreaScope::Interest { list: narrow }) => {
            narrow.is_none() || wide == narrow
        }
        (AreaScope::Listed { .. }, AreaScope::Nation | AreaScope::Interest { .. })
        | (AreaScope::Interest { .. }, _) => false,
        (AreaScope::Listed { provinces, communes }, AreaScope::Listed { provinces: p, communes: c }) => {
            p.is_subset(provinces)
                && c.iter().all(|code| {
                    let province = Areas::in_force().commune(*code).map(|commune| commune.province);
                    communes.contains(code) || province.is_some_and(|code| provinces.contains(&code))
                })
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
pub(super) fn lost(old: &Scope, new: &Scope) -> Vec<Partition> {
    if contains(new, old) {
        return Vec::new();
    }
    let of_old = partitions(old);
    let same_but_areas = old.residence == new.residence && old.conditions == new.conditions;
    match (&new.areas, same_but_areas) {
        (AreaScope::Listed { .. }, true) => {
            let of_new = partitions(new);
            of_old.into_iter().filter(|partition| !of_new.contains(partition)).collect()
        }
        _ => of_old,
    }
}
