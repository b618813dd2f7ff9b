//! What was handed in, and what became of it: rows of the table `handed_in`, kept for ever.

use dancu_proto::{
    Field, FieldSet, PersonalId,
    v1::{ContributionOutcome, ContributionState, RejectionReason},
};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use uuid::Uuid;

use super::Shared;
use crate::registry::{Rows, Standing, StoreError, View};

/// The table.
pub(super) const HANDED_IN: &str = "handed_in";
/// Names of rows: by place in an outbox, and by the id of the contribution.
const PLACE: u8 = b'p';
const ID: u8 = b'i';
/// Number of [`HandedIn::contribution`].
const CONTRIBUTION: u32 = 7;

/// What a node is told of a contribution that somebody looks at.
const LOOKED_AT: &str = "does not fit what the registry has; somebody at the hub decides, and nothing is to be done here meanwhile";

/// A contribution that the hub has taken over.
#[derive(Clone, PartialEq, Message)]
pub struct HandedIn {
    /// Its id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// The node that queued it.
    #[prost(string, tag = "2")]
    pub node: String,
    /// The agency of that node.
    #[prost(string, tag = "3")]
    pub agency: String,
    /// The outbox, 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub outbox: Vec<u8>,
    /// Its place there.
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
    /// SHA-256 of the statement of the node, as it was signed; the statement itself is kept as `evidence` says.
    #[prost(bytes = "vec", tag = "6")]
    pub hash: Vec<u8>,
    /// What it says; none where that cannot be read.
    #[prost(message, optional, tag = "7")]
    pub contribution: Option<Shared>,
    /// When it was taken over, milliseconds since 1970.
    #[prost(int64, tag = "8")]
    pub taken_ms: i64,
    /// The roles of the agency under the purpose then.
    #[prost(string, repeated, tag = "9")]
    pub roles: Vec<String>,
    /// In which of them it was judged.
    #[prost(string, tag = "10")]
    pub role: String,
    /// The event, as named in `dancu.v1.Event`.
    #[prost(string, tag = "11")]
    pub event: String,
    /// Where it stands.
    #[prost(enumeration = "ContributionState", tag = "12")]
    pub state: i32,
    /// The revision that carried it out; 0 unless accepted.
    #[prost(uint64, tag = "13")]
    pub revision: u64,
    /// Why it is rejected or in review.
    #[prost(enumeration = "RejectionReason", tag = "14")]
    pub reason: i32,
    /// The same for people.
    #[prost(string, tag = "15")]
    pub message: String,
    /// Fields at fault.
    #[prost(string, repeated, tag = "16")]
    pub fields: Vec<String>,
    /// Fields of which its value is not in force.
    #[prost(fixed64, tag = "17")]
    pub not_in_force: u64,
    /// The number that somebody got; 0 for none.
    #[prost(uint64, tag = "18")]
    pub personal_id: u64,
    /// Its review; 0 for none.
    #[prost(uint64, tag = "19")]
    pub review: u64,
    /// Rows of the same contribution that came by another way.
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub also: Vec<Vec<u8>>,
    /// The revision that took it back; 0 for none.
    #[prost(uint64, tag = "21")]
    pub taken_back: u64,
    /// Another contribution has this place: the outbox was put back from an older copy, and gave it again.
    #[prost(bool, tag = "22")]
    pub place_again: bool,
    /// The number in the node's mail that tells what became of it.
    #[prost(uint64, tag = "23")]
    pub mail: u64,
    /// What the node signed: the name of what came under one signature, and the place of the statement in it.
    #[prost(bytes = "vec", tag = "24")]
    pub evidence: Vec<u8>,
    /// See `evidence`.
    #[prost(uint32, tag = "25")]
    pub evidence_place: u32,
}

impl HandedIn {
    /// The name of its row.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        let place = name(&self.node, &self.outbox, self.sequence);
        if self.place_again { [&place[..], &self.id].concat() } else { place }
    }

    /// The same contribution, and what became of it, at the place where it came by another way.
    #[must_use]
    pub fn as_came_at(&self, place: HandedIn) -> HandedIn {
        let HandedIn { node, agency, outbox, sequence, hash, evidence, evidence_place, .. } = place;
        let HandedIn { taken_ms, place_again, mail, .. } = place;
        HandedIn {
            node,
            agency,
            outbox,
            sequence,
            hash,
            evidence,
            evidence_place,
            taken_ms,
            place_again,
            mail,
            also: Vec::new(),
            review: 0,
            ..self.clone()
        }
    }

    /// Its id.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        Uuid::from_slice(&self.id).unwrap_or_default()
    }

    /// Whether it counts.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.state() == ContributionState::Accepted
    }

    /// Whether it does not.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.state() == ContributionState::Rejected
    }

    /// Whether somebody is to decide, or it waits.
    #[must_use]
    pub fn is_in_review(&self) -> bool {
        self.state() == ContributionState::InReview
    }

    /// What the node is told for people. Why somebody decides may say what the registry has of a person whom the
    /// node knows nothing of: that is for those who decide.
    fn told(&self) -> &str {
        match self.reason() {
            RejectionReason::Unlikely | RejectionReason::Conflict if self.is_in_review() => LOOKED_AT,
            _ => &self.message,
        }
    }

    /// What became of it; the receipt is added when it is sent.
    #[must_use]
    pub fn outcome(&self) -> ContributionOutcome {
        let not_in_force = FieldSet::from_bits(self.not_in_force);
        let number = PersonalId::from_u64(self.personal_id).ok().filter(|_| self.personal_id != 0);
        ContributionOutcome {
            contribution_id: self.uuid().to_string(),
            node: self.node.clone(),
            outbox: self.outbox.clone(),
            sequence: self.sequence,
            state: self.state,
            revision: self.revision,
            reason: self.reason,
            message: self.told().to_owned(),
            fields: self.fields.clone(),
            not_in_force: not_in_force.iter().map(number_of).collect(),
            personal_id: number.map(|number| number.to_string()).unwrap_or_default(),
            receipt: None,
        }
    }
}

fn number_of(field: Field) -> i32 {
    dancu_proto::v1::Field::from(field).into()
}

/// The name of a row by its place: an outbox is its node's.
#[must_use]
pub fn name(node: &str, outbox: &[u8], sequence: u64) -> Vec<u8> {
    [&[PLACE][..], node.as_bytes(), &[0], outbox, &sequence.to_be_bytes()].concat()
}

fn id_name(id: Uuid) -> Vec<u8> {
    [&[ID][..], id.as_bytes()].concat()
}

fn decode(row: Vec<u8>) -> Result<HandedIn, StoreError> {
    HandedIn::decode(row.as_slice()).map_err(|_| StoreError::Corrupt("a contribution"))
}

/// A row without what the contribution says, which is most of it.
fn decode_outcome(row: &[u8]) -> Result<HandedIn, DecodeError> {
    let (mut outcome, mut rest) = (HandedIn::default(), row);
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest)?;
        let context = DecodeContext::default();
        match tag {
            CONTRIBUTION => skip_field(wire_type, tag, &mut rest, context)?,
            _ => outcome.merge_field(tag, wire_type, &mut rest, context)?,
        }
    }
    Ok(outcome)
}

/// A contribution by its id, as the commits before leave it.
///
/// # Errors
/// If the disk refuses, or the row is damaged; so for all below.
pub fn by_id(standing: &Standing<'_>, id: Uuid) -> Result<Option<HandedIn>, StoreError> {
    let Some(name) = standing.row(HANDED_IN, &id_name(id))? else { return Ok(None) };
    standing.row(HANDED_IN, &name)?.map(decode).transpose()
}

/// The same, with what a commit is about to write.
///
/// # Errors
/// See above.
pub fn by_id_in(rows: &Rows<'_>, id: Uuid) -> Result<Option<HandedIn>, StoreError> {
    let Some(name) = rows.get(HANDED_IN, &id_name(id))? else { return Ok(None) };
    by_name_in(rows, &name)
}

/// A contribution by the name of its row.
///
/// # Errors
/// See above.
pub fn by_name_in(rows: &Rows<'_>, name: &[u8]) -> Result<Option<HandedIn>, StoreError> {
    rows.message(HANDED_IN, name)
}

/// A contribution by its id.
///
/// # Errors
/// See above.
pub fn in_view(view: &View<'_>, id: Uuid) -> Result<Option<HandedIn>, StoreError> {
    let Some(name) = view.row(HANDED_IN, &id_name(id))? else { return Ok(None) };
    by_name(view, &name)
}

/// A contribution by the name of its row.
///
/// # Errors
/// See above.
pub fn by_name(view: &View<'_>, name: &[u8]) -> Result<Option<HandedIn>, StoreError> {
    view.row(HANDED_IN, name)?.map(decode).transpose()
}

/// What became of a contribution, by the name of its row; what it says is left out.
///
/// # Errors
/// See above.
pub fn outcome_by_name(view: &View<'_>, name: &[u8]) -> Result<Option<HandedIn>, StoreError> {
    let damaged = |_| StoreError::Corrupt("a contribution");
    view.row(HANDED_IN, name)?.map(|row| decode_outcome(&row).map_err(damaged)).transpose()
}

/// The first with an id owns it.
pub fn own(rows: &mut Rows<'_>, row: &HandedIn) {
    rows.put(HANDED_IN, id_name(row.uuid()), row.name());
}

/// Writes a row.
pub fn put(rows: &mut Rows<'_>, row: &HandedIn) {
    rows.put(HANDED_IN, row.name(), row.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::Contribution;

    use super::*;

    #[test]
    fn an_outcome_is_the_row_without_what_it_says() {
        let row = HandedIn {
            id: vec![7; 16],
            node: "ha-noi".into(),
            sequence: 4,
            contribution: Some(Contribution { id: "a".into(), ..Contribution::default() }.into()),
            fields: vec!["event".into(), "document".into()],
            not_in_force: 3,
            mail: 9,
            ..HandedIn::default()
        };
        let told = decode_outcome(&row.encode_to_vec()).unwrap();
        assert_eq!(told, HandedIn { contribution: None, ..row });
    }
}
