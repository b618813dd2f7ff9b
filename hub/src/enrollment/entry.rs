//! A node as the hub's roll has it.

use dancu_proto::hub::v1::NodeEnrollmentState;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::timestamp};

use super::{authority::Issued, roll::RollError};

/// What a node may do at the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum NodeState {
    /// Added; its token is not used yet.
    Invited,
    /// In service.
    Active,
    /// May come back; the reason is shown to its own operator.
    Suspended(String),
    /// Ended for ever; the reason is shown to its own operator.
    Revoked(String),
}

impl NodeState {
    /// Why, where suspended or revoked; else empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            NodeState::Invited | NodeState::Active => "",
            NodeState::Suspended(reason) | NodeState::Revoked(reason) => reason,
        }
    }
}

impl From<&NodeState> for NodeEnrollmentState {
    fn from(state: &NodeState) -> NodeEnrollmentState {
        match state {
            NodeState::Invited => NodeEnrollmentState::Invited,
            NodeState::Active => NodeEnrollmentState::Active,
            NodeState::Suspended(_) => NodeEnrollmentState::Suspended,
            NodeState::Revoked(_) => NodeEnrollmentState::Revoked,
        }
    }
}

/// The last token made for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// SHA-256 of its secret; the secret itself is nowhere.
    pub hash: [u8; 32],
    /// When it expires.
    #[serde(with = "timestamp")]
    pub expires: OffsetDateTime,
    /// It was used.
    pub used: bool,
}

/// A certificate that a node may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// End of validity.
    #[serde(with = "timestamp")]
    pub expires: OffsetDateTime,
}

impl From<&Issued> for CertificateRecord {
    fn from(issued: &Issued) -> CertificateRecord {
        CertificateRecord { serial: issued.serial.clone(), expires: issued.expires }
    }
}

/// A node as the roll has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Given once, never again.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// The agency it serves.
    pub agency: String,
    /// What it may do.
    #[serde(flatten)]
    pub state: NodeState,
    /// The last token made for it.
    pub token: TokenRecord,
    /// Its certificate.
    pub current: Option<CertificateRecord>,
    /// The certificate before, good until the current one was first shown: the answer to a renewal
    /// may be lost on its way.
    pub previous: Option<CertificateRecord>,
    /// When it was added.
    #[serde(with = "timestamp")]
    pub added: OffsetDateTime,
}

impl NodeEntry {
    /// As bytes to keep.
    ///
    /// # Errors
    /// Never in practice: every entry can be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, RollError> {
        serde_json::to_vec(self).map_err(RollError::new)
    }

    /// From bytes kept.
    ///
    /// # Errors
    /// The bytes are not an entry.
    pub fn decode(bytes: &[u8]) -> Result<NodeEntry, RollError> {
        serde_json::from_slice(bytes).map_err(RollError::new)
    }

    /// When its certificate expires.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<OffsetDateTime> {
        self.current.as_ref().map(|certificate| certificate.expires)
    }

    /// The certificate with this serial number, if the node may show it.
    pub(super) fn accepted(&self, serial: &[u8]) -> Option<&CertificateRecord> {
        [&self.current, &self.previous].into_iter().flatten().find(|known| known.serial == serial)
    }

    pub(super) fn is_current(&self, serial: &[u8]) -> bool {
        self.current.as_ref().is_some_and(|current| current.serial == serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back() {
        let record = CertificateRecord { serial: vec![1, 2], expires: OffsetDateTime::UNIX_EPOCH };
        for state in [NodeState::Invited, NodeState::Active, NodeState::Revoked("stolen".into())] {
            let entry = NodeEntry {
                number: 7,
                name: "ha-giang".into(),
                agency: "province-02".into(),
                state,
                token: TokenRecord { hash: [9; 32], expires: OffsetDateTime::UNIX_EPOCH, used: true },
                current: Some(record.clone()),
                previous: None,
                added: OffsetDateTime::UNIX_EPOCH,
            };
            assert_eq!(NodeEntry::decode(&entry.encode().unwrap()).unwrap(), entry);
        }
        assert!(NodeEntry::decode(b"{}").is_err());
    }
}
