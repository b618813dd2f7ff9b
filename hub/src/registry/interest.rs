//! A change of an interest list. It is a commit in the registry's order like any other, and touches
//! the list's own partition alone.

use std::{collections::BTreeMap, sync::Arc};

use dancu_proto::{PersonalId, Revision};
use time::OffsetDateTime;

use super::{
    CommitError, InterestUpdate, ListId, Standing, Store, StoreError, group::Group, journal::InterestChange,
    standing::Before, store::Write,
};

/// Enters a change in a group of which it is the only commit. Nothing, if everything is so already.
pub(super) fn enter(
    before: &Before<'_>,
    group: &mut Group,
    at: Revision,
    update: InterestUpdate,
) -> Result<Option<InterestChange>, CommitError> {
    let name = format!("{}/{}", update.agreement, update.node);
    let known = before.snapshot.list(&name)?;
    let list = known.unwrap_or(ListId(group.head.lists + 1));
    let mut change = InterestChange {
        list: list.0,
        agreement: update.agreement,
        node: update.node,
        created: known.is_none(),
        ..InterestChange::default()
    };
    for number in update.add {
        add(before, group, at, list, number, &mut change)?;
    }
    for number in update.withdraw {
        withdraw(before, group, at, list, number, &mut change)?;
    }
    let lists = [&change.joined, &change.left, &change.awaited, &change.released];
    if lists.iter().all(|list| list.is_empty()) {
        return Ok(None);
    }
    if change.created {
        group.head.lists = list.0;
        group.writes.push(Write::List(name, list));
        // From now on the agreement has a list, which changes what its nodes follow.
        group.policy(at);
        group.touched.agencies.insert(update.agency);
    }
    Ok(Some(change))
}

/// Every list that awaits someone, and the numbers.
pub(super) fn awaiting(store: &dyn Store) -> Result<BTreeMap<ListId, Vec<PersonalId>>, StoreError> {
    let mut lists: BTreeMap<ListId, Vec<PersonalId>> = BTreeMap::new();
    for row in store.snapshot().all_awaited() {
        let (number, list) = row?;
        lists.entry(list).or_default().push(number);
    }
    Ok(lists)
}

/// Those of a list's awaited numbers that someone has now come onto it.
pub(super) fn find(
    before: &Before<'_>,
    group: &mut Group,
    at: Revision,
    list: ListId,
    numbers: Vec<PersonalId>,
) -> Result<Option<InterestChange>, StoreError> {
    let mut change = InterestChange { list: list.0, ..InterestChange::default() };
    for number in numbers {
        add(before, group, at, list, number, &mut change)?;
        let found = Standing::new(before, group, OffsetDateTime::UNIX_EPOCH).resolve(number)?;
        if found.is_some() {
            change.released.push(number.as_u64());
            group.found(number, list);
        }
    }
    Ok((!change.joined.is_empty()).then_some(change))
}

fn add(
    before: &Before<'_>,
    group: &mut Group,
    at: Revision,
    list: ListId,
    number: PersonalId,
    change: &mut InterestChange,
) -> Result<(), StoreError> {
    let found = Standing::new(before, group, OffsetDateTime::UNIX_EPOCH).resolve(number)?;
    if let Some((key, citizen)) = found {
        let mut citizen = Arc::unwrap_or_clone(citizen);
        if citizen.join(list, at) {
            change.joined.push(key.0);
            group.listed(list, key, citizen, at);
        }
    } else if !awaits(before, number, list)? && !change.awaited.contains(&number.as_u64()) {
        change.awaited.push(number.as_u64());
        group.writes.push(Write::Await(number, list));
    }
    Ok(())
}

fn withdraw(
    before: &Before<'_>,
    group: &mut Group,
    at: Revision,
    list: ListId,
    number: PersonalId,
    change: &mut InterestChange,
) -> Result<(), StoreError> {
    let found = Standing::new(before, group, OffsetDateTime::UNIX_EPOCH).resolve(number)?;
    if let Some((key, mut citizen)) = found.map(|(key, citizen)| (key, Arc::unwrap_or_clone(citizen)))
        && citizen.leave(list, at)
    {
        change.left.push(key.0);
        group.listed(list, key, citizen, at);
    } else if awaits(before, number, list)? {
        change.released.push(number.as_u64());
        group.found(number, list);
    }
    Ok(())
}

fn awaits(before: &Before<'_>, number: PersonalId, list: ListId) -> Result<bool, StoreError> {
    for awaiting in before.snapshot.awaited(number) {
        if awaiting? == list {
            return Ok(true);
        }
    }
    Ok(false)
}
