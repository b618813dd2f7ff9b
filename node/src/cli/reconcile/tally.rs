//! What is wrong with a file, counted.

use std::collections::BTreeMap;

use comfy_table::{Cell, Color};
use console::style;
use dancu_proto::{
    Field,
    node::v1::{ReconcileOutcome, Reconciliation, Verdict},
    v1::Citizen,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::{failure::Failure, print};

/// Counts of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfField {
    same: u64,
    same_ignoring_marks: u64,
    differs: u64,
    no_value: u64,
    not_authorised: u64,
    /// Whatever the verdict.
    #[serde(default)]
    in_question: u64,
}

/// Counts of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    outcomes: BTreeMap<String, u64>,
    fields: BTreeMap<String, OfField>,
}

/// An outcome, as the output has it.
pub(super) fn outcome(outcome: ReconcileOutcome) -> &'static str {
    match outcome {
        ReconcileOutcome::Unspecified => "unspecified",
        ReconcileOutcome::Confirmed => "confirmed",
        ReconcileOutcome::Differs => "differs",
        ReconcileOutcome::Several => "several",
        ReconcileOutcome::NotFound => "not_found",
        ReconcileOutcome::Deceased => "deceased",
        ReconcileOutcome::Invalid => "invalid",
    }
}

impl Tally {
    /// Counts a record and what there is to say of it.
    pub(super) fn count(&mut self, claim: &Citizen, fields: &[Field], said: &Reconciliation) {
        *self.outcomes.entry(outcome(said.outcome()).to_owned()).or_default() += 1;
        let compared = [ReconcileOutcome::Confirmed, ReconcileOutcome::Differs, ReconcileOutcome::Deceased];
        if !compared.contains(&said.outcome()) {
            return;
        }
        for field in fields.iter().filter(|field| is_set(claim, **field)) {
            let number = i32::from(dancu_proto::v1::Field::from(*field));
            let verdict = said.verdicts.iter().find(|verdict| verdict.field == number);
            let of = self.fields.entry(field.name().to_owned()).or_default();
            of.in_question += u64::from(verdict.is_some_and(|verdict| verdict.in_question));
            match verdict.map(|verdict| verdict.verdict()) {
                None | Some(Verdict::Match | Verdict::Unspecified) => of.same += 1,
                Some(Verdict::MatchIgnoringMarks) => of.same_ignoring_marks += 1,
                Some(Verdict::Mismatch) => of.differs += 1,
                Some(Verdict::NoValue) => of.no_value += 1,
                Some(Verdict::NotAuthorised) => of.not_authorised += 1,
            }
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    pub(super) fn json(&self) -> Value {
        json!({ "records": self.total(), "outcomes": self.outcomes, "fields": self.fields })
    }

    /// Prints what is wrong with the file.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let total = self.total().max(1);
        let share = |count: u64| format!("{:.1} %", count as f64 * 100.0 / total as f64);
        let label = |name: &str| match name {
            "confirmed" => ("Khớp hoàn toàn / confirmed", Color::Green),
            "differs" => ("Có sai khác / differs", Color::Yellow),
            "several" => ("Trùng nhiều người / several candidates", Color::Yellow),
            "not_found" => ("Không tìm thấy / not found", Color::Red),
            "deceased" => ("Đã chết / deceased", Color::Magenta),
            _ => ("Dòng không hợp lệ / invalid", Color::Red),
        };
        let rows = self.outcomes.iter().map(|(name, count)| {
            let (text, colour) = label(name);
            vec![Cell::new(text).fg(colour), Cell::new(count), Cell::new(share(*count))]
        });
        print::table(&["Kết quả / Outcome", "Số dòng / Records", ""], rows.collect())?;
        if self.fields.is_empty() {
            return Ok(());
        }
        let rows = self.fields.iter().map(|(name, of)| {
            let label = name.parse().map(|field: Field| field.spec().label_vi).unwrap_or_default();
            let marked = |count: u64, colour| {
                let cell = Cell::new(count);
                if count > 0 { cell.fg(colour) } else { cell }
            };
            vec![
                Cell::new(label),
                Cell::new(name),
                Cell::new(of.same),
                marked(of.same_ignoring_marks, Color::Yellow),
                marked(of.differs, Color::Red),
                marked(of.no_value, Color::DarkGrey),
                marked(of.not_authorised, Color::DarkGrey),
                marked(of.in_question, Color::Yellow),
            ]
        });
        print::line(style("").dim())?;
        let header = [
            "Thông tin",
            "Field",
            "Khớp / same",
            "Sai dấu / marks",
            "Sai / differs",
            "CSDL trống / no value",
            "Không được phép / not authorised",
            "Đang xem xét / in question",
        ];
        print::table(&header, rows.collect())
    }
}

fn is_set(claim: &Citizen, field: Field) -> bool {
    match field {
        Field::PersonalId => !claim.personal_id.is_empty(),
        Field::FullName => claim.full_name.is_some(),
        Field::DateOfBirth => claim.date_of_birth.is_some(),
        Field::Sex => !claim.sex.is_empty(),
        Field::OldIdNumber => !claim.old_id_number.is_empty(),
        _ => dancu_proto::Record::encode(claim).fields().contains(field),
    }
}
