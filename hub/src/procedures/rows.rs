//! Cases as rows of the registry's database.

use std::collections::BTreeMap;

use dancu_proto::{
    PersonalId,
    v1::{Address, StepState},
};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use super::case::{Case, CaseStep, Said};
use crate::registry::{StoreError, store::Write};

/// The table.
pub const TABLE: &str = "cases";
/// Names of cases begin so; then the id.
pub(super) const CASE: u8 = b'c';
/// Names of marks of open cases begin so; then the id.
pub(super) const OPEN: u8 = b'o';
/// Names of documents of procedures begin so; then what marks the document.
pub(super) const DOCUMENT: u8 = b'p';
/// Names of rows that lead from a procedure and whom its first step is about to the last case begin so.
pub(super) const SUBJECT: u8 = b's';
/// Names of marks of the forms that nodes were given begin so; then node and form.
pub(super) const FORM: u8 = b'f';

/// The name of a case's row.
#[must_use]
pub fn name_of_case(id: Uuid) -> Vec<u8> {
    named(CASE, id.as_bytes())
}

/// The name of the row that has the id of the case of a procedure about somebody.
#[must_use]
pub(super) fn name_of_subject(procedure: &str, number: PersonalId) -> Vec<u8> {
    [&[SUBJECT][..], procedure.as_bytes(), &[0], &number.as_u64().to_be_bytes()].concat()
}

pub(super) fn named(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind][..], name].concat()
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    procedure: String,
    #[prost(bytes = "vec", tag = "3")]
    document: Vec<u8>,
    #[prost(string, tag = "4")]
    case_number: String,
    #[prost(string, tag = "5")]
    agency: String,
    #[prost(string, tag = "6")]
    node: String,
    #[prost(message, required, tag = "7")]
    opened_at: Moment,
    #[prost(message, optional, tag = "8")]
    closed_at: Option<Moment>,
    #[prost(uint64, tag = "9")]
    version: u64,
    #[prost(btree_map = "string, uint64", tag = "10")]
    persons: BTreeMap<String, u64>,
    #[prost(btree_map = "string, message", tag = "11")]
    answers: BTreeMap<String, SaidRow>,
    #[prost(message, optional, tag = "12")]
    address: Option<Address>,
    #[prost(message, repeated, tag = "13")]
    steps: Vec<StepRow>,
    #[prost(string, repeated, tag = "14")]
    nodes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Moment {
    /// Nanoseconds fit until the year 2262.
    #[prost(sint64, tag = "1")]
    nanoseconds: i64,
}

#[derive(Clone, PartialEq, Message)]
struct SaidRow {
    #[prost(string, tag = "1")]
    value: String,
    #[prost(uint32, optional, tag = "2")]
    step: Option<u32>,
    #[prost(message, required, tag = "3")]
    at: Moment,
}

#[derive(Clone, PartialEq, Message)]
struct StepRow {
    #[prost(enumeration = "StepState", tag = "1")]
    state: i32,
    #[prost(bool, tag = "2")]
    stopped: bool,
    #[prost(string, optional, tag = "3")]
    agency: Option<String>,
    #[prost(btree_map = "string, bytes", tag = "4")]
    tasks: BTreeMap<String, Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    address: Option<Address>,
    #[prost(message, optional, tag = "6")]
    opened_at: Option<Moment>,
    #[prost(message, optional, tag = "7")]
    due_at: Option<Moment>,
    #[prost(message, optional, tag = "8")]
    ended_at: Option<Moment>,
    #[prost(bool, tag = "9")]
    escalated: bool,
    #[prost(string, tag = "10")]
    note: String,
    #[prost(bytes = "vec", tag = "11")]
    contribution: Vec<u8>,
    #[prost(uint32, optional, tag = "12")]
    address_from: Option<u32>,
}

fn moment(at: OffsetDateTime) -> Moment {
    Moment { nanoseconds: i64::try_from(at.unix_timestamp_nanos()).unwrap_or(i64::MAX) }
}

fn time_of(moment: Moment) -> Result<OffsetDateTime, StoreError> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(moment.nanoseconds.into());
    time.map_err(|_| StoreError::Corrupt("a case"))
}

fn id_of(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| StoreError::Corrupt("a case"))
}

impl Case {
    /// As a row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let said = |said: &Said| SaidRow {
            value: said.value.clone(),
            step: said.step.map(|step| step as u32),
            at: moment(said.at),
        };
        let row = Row {
            id: self.id.as_bytes().to_vec(),
            procedure: self.procedure.clone(),
            document: self.document.to_vec(),
            case_number: self.case_number.clone(),
            agency: self.agency.clone(),
            node: self.node.clone(),
            opened_at: moment(self.opened_at),
            closed_at: self.closed_at.map(moment),
            version: self.version,
            persons: self.persons.iter().map(|(role, number)| (role.clone(), number.as_u64())).collect(),
            answers: self.answers.iter().map(|(name, value)| (name.clone(), said(value))).collect(),
            address: self.address.clone(),
            steps: self.steps.iter().map(StepRow::from).collect(),
            nodes: self.nodes.iter().cloned().collect(),
        };
        row.encode_to_vec()
    }

    /// From a row.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn decode(row: &[u8]) -> Result<Case, StoreError> {
        let damaged = || StoreError::Corrupt("a case");
        let row = Row::decode(row).map_err(|_| damaged())?;
        let number = |(role, number)| Ok((role, PersonalId::from_u64(number).map_err(|_| damaged())?));
        let said = |(name, said): (String, SaidRow)| {
            let step = said.step.map(|step| step as usize);
            Ok((name, Said { value: said.value, step, at: time_of(said.at)? }))
        };
        Ok(Case {
            id: id_of(&row.id)?,
            procedure: row.procedure,
            document: row.document.try_into().map_err(|_| damaged())?,
            case_number: row.case_number,
            agency: row.agency,
            node: row.node,
            opened_at: time_of(row.opened_at)?,
            closed_at: row.closed_at.map(time_of).transpose()?,
            version: row.version,
            persons: row.persons.into_iter().map(number).collect::<Result<_, StoreError>>()?,
            answers: row.answers.into_iter().map(said).collect::<Result<_, StoreError>>()?,
            address: row.address,
            steps: row.steps.into_iter().map(CaseStep::try_from).collect::<Result<_, _>>()?,
            nodes: row.nodes.into_iter().collect(),
        })
    }

    /// What keeps the case as it is now.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        let open = named(OPEN, self.id.as_bytes());
        let mark = match self.closed_at {
            None => Write::Row(TABLE, open, Vec::new()),
            Some(_) => Write::NoRow(TABLE, open),
        };
        vec![Write::Row(TABLE, name_of_case(self.id), self.encode()), mark]
    }
}

impl From<&CaseStep> for StepRow {
    fn from(step: &CaseStep) -> StepRow {
        StepRow {
            state: step.state.into(),
            stopped: step.stopped,
            agency: step.agency.clone(),
            tasks: step.tasks.iter().map(|(node, mark)| (node.clone(), mark.to_vec())).collect(),
            address: step.address.clone(),
            address_from: step.address_from.map(|from| from as u32),
            opened_at: step.opened_at.map(moment),
            due_at: step.due_at.map(moment),
            ended_at: step.ended_at.map(moment),
            escalated: step.escalated,
            note: step.note.clone(),
            contribution: step.contribution.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        }
    }
}

impl TryFrom<StepRow> for CaseStep {
    type Error = StoreError;

    fn try_from(row: StepRow) -> Result<CaseStep, StoreError> {
        let damaged = || StoreError::Corrupt("a case");
        let mark = |(node, mark): (String, Vec<u8>)| Ok((node, mark.try_into().map_err(|_| damaged())?));
        Ok(CaseStep {
            state: row.state(),
            stopped: row.stopped,
            agency: row.agency.clone(),
            tasks: row.tasks.into_iter().map(mark).collect::<Result<_, StoreError>>()?,
            address: row.address,
            address_from: row.address_from.map(|from| from as usize),
            opened_at: row.opened_at.map(time_of).transpose()?,
            due_at: row.due_at.map(time_of).transpose()?,
            ended_at: row.ended_at.map(time_of).transpose()?,
            escalated: row.escalated,
            note: row.note,
            contribution: match row.contribution.as_slice() {
                [] => None,
                id => Some(id_of(id)?),
            },
        })
    }
}
