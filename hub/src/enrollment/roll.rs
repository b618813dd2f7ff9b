//! The roll of nodes: all in memory, each change kept before it counts.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use aws_lc_rs::rand;
use dancu_proto::channel::{Peer, PeerCertificate, PeerIdentity, Token, peer::is_name};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{
    authority::{Authority, AuthorityError, Issued},
    entry::{CertificateRecord, NodeEntry, NodeState, TokenRecord},
    error::EnrollmentError,
    members::{Members, NodeHandle},
};

/// Where the roll is kept.
pub trait RollStore: Send + Sync {
    /// Every entry, in any order.
    ///
    /// # Errors
    /// The store fails.
    fn load(&self) -> Result<Vec<NodeEntry>, RollError>;

    /// Keeps an entry durably, in place of the one with its name.
    ///
    /// # Errors
    /// The store fails; then nothing is kept.
    fn save(&self, entry: &NodeEntry) -> Result<(), RollError>;
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RollError(Box<dyn Error + Send + Sync>);

impl RollError {
    /// From what the store says.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> RollError {
        RollError(error.into())
    }
}

/// The roll of nodes.
pub struct NodeRoll {
    authority: Arc<Authority>,
    store: Arc<dyn RollStore>,
    /// Of a node's certificate.
    lifetime: Duration,
    members: RwLock<Members>,
    /// Held by whoever changes the roll, so that readers never wait for the disk.
    changing: Mutex<()>,
}

impl NodeRoll {
    /// The roll as kept. Certificates of nodes will last `lifetime`.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(
        authority: Arc<Authority>,
        store: Arc<dyn RollStore>,
        lifetime: Duration,
    ) -> Result<NodeRoll, RollError> {
        let mut members = Members::default();
        for entry in store.load()? {
            members.put(entry);
        }
        Ok(NodeRoll { authority, store, lifetime, members: RwLock::new(members), changing: Mutex::new(()) })
    }

    /// Adds a node and makes the token it joins with.
    ///
    /// # Errors
    /// The name is not one or is taken, the agency is missing, the store fails.
    pub fn add(
        &self,
        name: &str,
        agency: &str,
        token_lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Token, EnrollmentError> {
        if !is_name(name) {
            return Err(EnrollmentError::NameInvalid(name.to_owned()));
        }
        if agency.is_empty() {
            return Err(EnrollmentError::AgencyMissing);
        }
        let _changing = self.change();
        let number = {
            let members = self.read();
            if members.by_name.contains_key(name) {
                return Err(EnrollmentError::AlreadyExists(name.to_owned()));
            }
            members.by_name.values().map(|member| member.entry.number).max().unwrap_or(0) + 1
        };
        let (token, record) = self.token(name, token_lifetime, now)?;
        self.keep(NodeEntry {
            number,
            name: name.to_owned(),
            agency: agency.to_owned(),
            state: NodeState::Invited,
            token: record,
            current: None,
            previous: None,
            added: whole_seconds(now),
        })?;
        Ok(token)
    }

    /// A new token for a node that exists. Its certificate stays good until the token is used.
    ///
    /// # Errors
    /// No such node, or it is revoked, or the store fails.
    pub fn rejoin(
        &self,
        name: &str,
        token_lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Token, EnrollmentError> {
        let _changing = self.change();
        let entry = self.get(name)?;
        refuse_revoked(&entry)?;
        let (token, record) = self.token(name, token_lifetime, now)?;
        self.keep(NodeEntry { token: record, ..entry })?;
        Ok(token)
    }

    /// Exchanges a token's secret and a signing request for a certificate. A certificate that the
    /// node had before ends.
    ///
    /// # Errors
    /// The token is unknown, used or expired, the request is refused, the store fails.
    pub fn enroll(
        &self,
        secret: &[u8],
        csr: &[u8],
        now: OffsetDateTime,
    ) -> Result<(NodeHandle, Issued), EnrollmentError> {
        let _changing = self.change();
        let name = self.read().by_token.get(&Token::secret_hash(secret)).cloned();
        let mut entry = self.get(&name.ok_or(EnrollmentError::TokenUnknown)?)?;
        if let NodeState::Revoked(reason) = entry.state {
            return Err(EnrollmentError::Revoked { name: entry.name, reason });
        }
        if entry.token.used {
            return Err(EnrollmentError::TokenUsed(entry.name));
        }
        if now >= entry.token.expires {
            return Err(EnrollmentError::TokenExpired { name: entry.name, expired: entry.token.expires });
        }
        let issued = self.authority.certify_node(&entry.name, csr, self.lifetime, now)?;
        if entry.state == NodeState::Invited {
            entry.state = NodeState::Active;
        }
        entry.token.used = true;
        entry.current = Some(CertificateRecord::from(&issued));
        entry.previous = None;
        let handle = self.keep_and_tell(entry)?;
        Ok((handle, issued))
    }

    /// A new certificate for the node that calls. The one it calls with stays good until the new one
    /// is first shown. A suspended node may renew, so that it can come back.
    ///
    /// # Errors
    /// The caller is not a node with a good certificate, or is revoked; the request is refused; the
    /// store fails.
    pub fn renew(
        &self,
        peer: &Peer,
        csr: &[u8],
        now: OffsetDateTime,
    ) -> Result<(NodeHandle, Issued), EnrollmentError> {
        let _changing = self.change();
        let (name, certificate) = node_of(peer)?;
        let mut entry = self
            .read()
            .by_name
            .get(name)
            .map(|member| member.entry.clone())
            .ok_or_else(|| EnrollmentError::NodeUnknown(name.to_owned()))?;
        if let NodeState::Revoked(reason) = entry.state {
            return Err(EnrollmentError::Revoked { name: entry.name, reason });
        }
        let shown = good_certificate(&entry, certificate, now)?.clone();
        let issued = self.authority.certify_node(name, csr, self.lifetime, now)?;
        entry.current = Some(CertificateRecord::from(&issued));
        entry.previous = Some(shown);
        let handle = self.keep(entry)?;
        Ok((handle, issued))
    }

    /// Suspends a node: its streams are cut and it is refused until resumed.
    ///
    /// # Errors
    /// No such node, or it is revoked; no reason is given; the store fails.
    pub fn suspend(&self, name: &str, reason: &str) -> Result<NodeEntry, EnrollmentError> {
        self.set_state(name, |_| NodeState::Suspended(reason.to_owned()), Some(reason))
    }

    /// Lets a suspended node come back.
    ///
    /// # Errors
    /// No such node, or it is revoked; the store fails.
    pub fn resume(&self, name: &str) -> Result<NodeEntry, EnrollmentError> {
        let resumed = |entry: &NodeEntry| match entry.current {
            Some(_) => NodeState::Active,
            None => NodeState::Invited,
        };
        self.set_state(name, resumed, None)
    }

    /// Revokes a node for ever. To revoke it again is no error and keeps the first reason.
    ///
    /// # Errors
    /// No such node; no reason is given; the store fails.
    pub fn revoke(&self, name: &str, reason: &str) -> Result<NodeEntry, EnrollmentError> {
        let entry = self.get(name)?;
        if matches!(entry.state, NodeState::Revoked(_)) {
            return Ok(entry);
        }
        self.set_state(name, |_| NodeState::Revoked(reason.to_owned()), Some(reason))
    }

    /// All nodes, by name.
    #[must_use]
    pub fn list(&self) -> Vec<NodeEntry> {
        self.read().by_name.values().map(|member| member.entry.clone()).collect()
    }

    /// How often the roll changed who is on it and in which state, since it was opened.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.read().changes.len()
    }

    /// Which nodes came or changed their state since a generation, as they are now, and the generation of now.
    #[must_use]
    pub fn changed_since(&self, generation: usize) -> (usize, Vec<NodeEntry>) {
        let members = self.read();
        let names: BTreeSet<_> = members.changes[generation..].iter().collect();
        let entries = names.into_iter().filter_map(|name| members.by_name.get(&**name));
        (members.changes.len(), entries.map(|member| member.entry.clone()).collect())
    }

    /// One node.
    ///
    /// # Errors
    /// No such node.
    pub fn get(&self, name: &str) -> Result<NodeEntry, EnrollmentError> {
        let members = self.read();
        let member = members.by_name.get(name);
        member.map(|member| member.entry.clone()).ok_or_else(|| EnrollmentError::NotFound(name.to_owned()))
    }

    /// Whether the node that calls may speak now. To be asked for every call, and again whenever
    /// [`subscribe`](Self::subscribe) tells of a change during a stream.
    ///
    /// # Errors
    /// The caller is not a node, or unknown; its certificate is superseded or expired; it is
    /// suspended or revoked.
    pub fn authorise(&self, peer: &Peer, now: OffsetDateTime) -> Result<NodeHandle, EnrollmentError> {
        let (name, certificate) = node_of(peer)?;
        let (handle, settles) = {
            let members = self.read();
            let member =
                members.by_name.get(name).ok_or_else(|| EnrollmentError::NodeUnknown(name.to_owned()))?;
            match &member.entry.state {
                NodeState::Invited | NodeState::Active => {}
                NodeState::Suspended(reason) => {
                    let (name, reason) = (name.to_owned(), reason.clone());
                    return Err(EnrollmentError::Suspended { name, reason });
                }
                NodeState::Revoked(reason) => {
                    let (name, reason) = (name.to_owned(), reason.clone());
                    return Err(EnrollmentError::Revoked { name, reason });
                }
            }
            good_certificate(&member.entry, certificate, now)?;
            let first = member.entry.previous.is_some() && member.entry.is_current(&certificate.serial);
            (member.handle.clone(), first)
        };
        if settles {
            self.settle(name, &certificate.serial);
        }
        Ok(handle)
    }

    /// Tells of every change of a node's state, and of its joining again, so that a stream can be cut
    /// at once: on each change, ask [`authorise`](Self::authorise) again.
    ///
    /// # Errors
    /// No such node.
    pub fn subscribe(&self, name: &str) -> Result<watch::Receiver<NodeState>, EnrollmentError> {
        let members = self.read();
        let member = members.by_name.get(name);
        member
            .map(|member| member.state.subscribe())
            .ok_or_else(|| EnrollmentError::NotFound(name.to_owned()))
    }

    /// The current certificate was shown: the one before is not needed any more.
    fn settle(&self, name: &str, serial: &[u8]) {
        let _changing = self.change();
        let Ok(entry) = self.get(name) else { return };
        if entry.is_current(serial) {
            // The next call tries again; until then the former certificate stays good.
            if let Err(error) = self.keep(NodeEntry { previous: None, ..entry }) {
                tracing::warn!(node = name, %error, "a former certificate cannot be struck off yet");
            }
        }
    }

    fn set_state(
        &self,
        name: &str,
        state: impl FnOnce(&NodeEntry) -> NodeState,
        reason: Option<&str>,
    ) -> Result<NodeEntry, EnrollmentError> {
        if reason.is_some_and(|reason| reason.trim().is_empty()) {
            return Err(EnrollmentError::ReasonMissing);
        }
        let _changing = self.change();
        let mut entry = self.get(name)?;
        refuse_revoked(&entry)?;
        entry.state = state(&entry);
        self.keep_and_tell(entry.clone())?;
        Ok(entry)
    }

    fn token(
        &self,
        name: &str,
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<(Token, TokenRecord), EnrollmentError> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| AuthorityError::Random)?;
        let expires = whole_seconds(now + lifetime);
        let record = TokenRecord { hash: Token::secret_hash(&secret), expires, used: false };
        let authority = self.authority.fingerprint();
        Ok((Token { secret, authority, expires, node: name.to_owned() }, record))
    }

    /// Keeps an entry; the caller holds [`change`](Self::change).
    fn keep(&self, entry: NodeEntry) -> Result<NodeHandle, RollError> {
        self.store.save(&entry)?;
        let name = entry.name.clone();
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.put(entry);
        Ok(members.by_name[&name].handle.clone())
    }

    fn keep_and_tell(&self, entry: NodeEntry) -> Result<NodeHandle, RollError> {
        let handle = self.keep(entry)?;
        if let Some(member) = self.read().by_name.get(&*handle.name) {
            member.state.send_replace(member.entry.state.clone());
        }
        Ok(handle)
    }

    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As entries are kept.
fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

fn node_of(peer: &Peer) -> Result<(&str, &PeerCertificate), EnrollmentError> {
    match &peer.certificate {
        Some(certificate) => match &certificate.identity {
            Some(PeerIdentity::Node(name)) => Ok((name, certificate)),
            _ => Err(EnrollmentError::NotANode),
        },
        None => Err(EnrollmentError::NotANode),
    }
}

fn good_certificate<'a>(
    entry: &'a NodeEntry,
    certificate: &PeerCertificate,
    now: OffsetDateTime,
) -> Result<&'a CertificateRecord, EnrollmentError> {
    let known = entry
        .accepted(&certificate.serial)
        .ok_or_else(|| EnrollmentError::CertificateSuperseded(entry.name.clone()))?;
    // The handshake saw to this, but a connection may outlive the certificate it was made with.
    if now >= known.expires {
        return Err(EnrollmentError::CertificateExpired(entry.name.clone()));
    }
    Ok(known)
}

fn refuse_revoked(entry: &NodeEntry) -> Result<(), EnrollmentError> {
    match entry.state {
        NodeState::Revoked(_) => Err(EnrollmentError::Conflict {
            name: entry.name.clone(),
            message: "is revoked and cannot come back; add a node of another name",
        }),
        _ => Ok(()),
    }
}
