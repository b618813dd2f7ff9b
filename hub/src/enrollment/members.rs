//! The roll in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use super::entry::{NodeEntry, NodeState};

/// A node that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHandle {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: Arc<str>,
    /// The agency it serves.
    pub agency: Arc<str>,
}

pub(super) struct Member {
    pub(super) entry: NodeEntry,
    pub(super) handle: NodeHandle,
    pub(super) state: watch::Sender<NodeState>,
}

impl Member {
    fn new(entry: NodeEntry) -> Member {
        let handle = NodeHandle {
            number: entry.number,
            name: entry.name.as_str().into(),
            agency: entry.agency.as_str().into(),
        };
        let state = watch::Sender::new(entry.state.clone());
        Member { entry, handle, state }
    }
}

#[derive(Default)]
pub(super) struct Members {
    pub(super) by_name: BTreeMap<String, Member>,
    /// By the hash of the last token's secret.
    pub(super) by_token: HashMap<[u8; 32], String>,
    /// Who came, or whose state is another, one after the other.
    pub(super) changes: Vec<Arc<str>>,
}

impl Members {
    pub(super) fn put(&mut self, entry: NodeEntry) {
        self.by_token.insert(entry.token.hash, entry.name.clone());
        match self.by_name.get_mut(&entry.name) {
            None => {
                let member = Member::new(entry);
                self.changes.push(Arc::clone(&member.handle.name));
                self.by_name.insert(member.entry.name.clone(), member);
            }
            Some(member) => {
                if member.entry.state != entry.state {
                    self.changes.push(Arc::clone(&member.handle.name));
                }
                if member.entry.token.hash != entry.token.hash {
                    self.by_token.remove(&member.entry.token.hash);
                }
                member.entry = entry;
            }
        }
    }
}
