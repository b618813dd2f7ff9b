//! What a group of commits will write in one batch, and what it has changed so far: a later commit
//! of the group sees the earlier ones.

use std::{collections::HashSet, sync::Arc};

use dancu_proto::{Field, FieldSet, PersonalId, Revision};
use foldhash::{HashMap, HashMapExt};
use uuid::Uuid;

use super::{
    CitizenKey, JournalEntry, ListId, Partition, StoredCitizen,
    citizen::birth_of,
    partition::{can_move, partitions_of},
    store::{Head, Write},
};
use crate::router::Touched;

pub(super) struct Group {
    pub(super) head: Head,
    pub(super) writes: Vec<Write>,
    pub(super) touched: Touched,
    /// Citizens as the group leaves them; each is written once.
    pub(super) changed: HashMap<CitizenKey, Arc<StoredCitizen>>,
    /// Whom a number leads to by this group; none where it no longer leads to anyone.
    pub(super) numbers: HashMap<PersonalId, Option<CitizenKey>>,
    pub(super) contributions: HashSet<Uuid>,
    /// Lists that no longer await somebody with a number.
    pub(super) found: HashSet<(PersonalId, ListId)>,
    /// What the journal gets.
    pub(super) entries: HashMap<Revision, Arc<JournalEntry>>,
    /// The revisions that each citizen's history gets.
    pub(super) history: HashMap<CitizenKey, Vec<Revision>>,
    /// Rows of other owners, by table and name; none where it is no more.
    pub(super) rows: HashMap<&'static str, HashMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Group {
    /// An empty group on top of what there is.
    pub(super) fn after(head: Head) -> Group {
        Group {
            head,
            writes: Vec::new(),
            touched: Touched::default(),
            changed: HashMap::new(),
            numbers: HashMap::new(),
            contributions: HashSet::new(),
            found: HashSet::new(),
            entries: HashMap::new(),
            history: HashMap::new(),
            rows: HashMap::new(),
        }
    }

    /// All rows to write, with those that were entered one by one.
    pub(super) fn with_rows(&self, mut writes: Vec<Write>) -> Vec<Write> {
        writes.extend(self.changed.iter().map(|(key, citizen)| Write::Citizen(*key, Arc::clone(citizen))));
        writes.extend(self.entries.iter().map(|(at, entry)| Write::Journal(*at, Arc::clone(entry))));
        for (table, rows) in &self.rows {
            writes.extend(rows.iter().map(|(name, row)| match row {
                Some(row) => Write::Row(table, name.clone(), row.clone()),
                None => Write::NoRow(table, name.clone()),
            }));
        }
        writes.push(Write::Head(self.head));
        Write::in_order(writes)
    }

    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rows.is_empty()
    }

    /// Rows of other owners, over those of earlier commits of the group.
    pub(super) fn rows(&mut self, rows: Vec<Write>) {
        for row in rows {
            let (table, name, row) = match row {
                Write::Row(table, name, row) => (table, name, Some(row)),
                Write::NoRow(table, name) => (table, name, None),
                other => {
                    self.writes.push(other);
                    continue;
                }
            };
            self.rows.entry(table).or_default().insert(name, row);
        }
    }

    /// Something was claimed of a citizen that changed nothing.
    pub(super) fn claimed(&mut self, key: CitizenKey, citizen: StoredCitizen, at: Revision) {
        self.history(key, at);
        self.changed.insert(key, Arc::new(citizen));
    }

    fn history(&mut self, key: CitizenKey, at: Revision) {
        self.writes.push(Write::History(key, at));
        self.history.entry(key).or_default().push(at);
    }

    /// A list no longer awaits somebody with a number.
    pub(super) fn found(&mut self, number: PersonalId, list: ListId) {
        self.writes.push(Write::Unawait(number, list));
        self.found.insert((number, list));
    }

    /// A number leads to a person, or no longer does.
    pub(super) fn number(&mut self, number: PersonalId, leads_to: Option<CitizenKey>) {
        self.writes.push(match leads_to {
            Some(key) => Write::Number(number, key),
            None => Write::NoNumber(number),
        });
        self.numbers.insert(number, leads_to);
    }

    /// A citizen's new state, which is another in some fields, with the indexes and the feed.
    pub(super) fn citizen(
        &mut self,
        key: CitizenKey,
        old: Option<&StoredCitizen>,
        mut new: StoredCitizen,
        touched: FieldSet,
        at: Revision,
    ) {
        let after = partitions_of(&new.record);
        let before = match old {
            Some(_) if !can_move(touched) => after.clone(),
            Some(old) => partitions_of(&old.record),
            None => Vec::new(),
        };
        for partition in before.iter().filter(|p| !after.contains(p)) {
            self.writes.push(Write::Leave(*partition, key));
        }
        for partition in after.iter().filter(|p| !before.contains(p)) {
            self.writes.push(Write::Join(*partition, key));
        }
        let births = || (old.and_then(|c| birth_of(&c.record)), birth_of(&new.record));
        if touched.contains(Field::DateOfBirth)
            && let (born_before, born_after) = births()
            && born_before != born_after
        {
            self.writes.extend(born_before.map(|date| Write::Unbirth(date, key)));
            self.writes.extend(born_after.map(|date| Write::Birth(date, key)));
        }
        let lists = new.lists().into_iter().map(Partition::List).collect();
        let mut partitions = [before, after, lists, vec![Partition::Nation]].concat();
        partitions.sort_unstable();
        partitions.dedup();
        for partition in partitions {
            self.feed(partition, key, &mut new, at);
        }
        self.history(key, at);
        self.changed.insert(key, Arc::new(new));
    }

    /// A citizen came onto a list, or left it: only those who follow the list are told.
    pub(super) fn listed(&mut self, list: ListId, key: CitizenKey, mut citizen: StoredCitizen, at: Revision) {
        let partition = Partition::List(list);
        self.writes.push(if citizen.lists().contains(&list) {
            Write::Join(partition, key)
        } else {
            Write::Leave(partition, key)
        });
        self.feed(partition, key, &mut citizen, at);
        self.changed.insert(key, Arc::new(citizen));
    }

    /// The sharing policy or the day is another from a revision on.
    pub(super) fn policy(&mut self, at: Revision) {
        self.writes.push(Write::PolicyEvent(at));
        self.head.policy = at;
    }

    /// A citizen moves from one scope to another by the day alone: the record stays as it is.
    pub(super) fn moves(&mut self, key: CitizenKey, mut citizen: StoredCitizen, at: Revision) {
        let mut partitions = partitions_of(&citizen.record);
        partitions.push(Partition::Nation);
        partitions.extend(citizen.lists().into_iter().map(Partition::List));
        for partition in partitions {
            self.feed(partition, key, &mut citizen, at);
        }
        self.changed.insert(key, Arc::new(citizen));
    }

    /// Enters a change in a partition's feed, and takes out the entry that it supersedes, so that
    /// each citizen is in each feed at most once.
    fn feed(&mut self, partition: Partition, key: CitizenKey, citizen: &mut StoredCitizen, at: Revision) {
        match citizen.feed.iter_mut().find(|(p, _)| *p == partition) {
            Some((_, position)) => {
                self.writes.push(Write::Unfeed(partition, *position, key));
                *position = at;
            }
            None => citizen.feed.push((partition, at)),
        }
        self.writes.push(Write::Feed(partition, at, key));
        self.touched.partitions.insert(partition);
    }
}
