//! A record as people read it, in Vietnamese or English, and as JSON.

use anyhow::Context;
use dancu_proto::{
    Field,
    hub::v1::AccessRow,
    v1::{AccessOperation, LogRecord, SubjectOutcome, log_record::Body},
};
use prost::Message;
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::Language;
use crate::{audit::read_leaf, cli::output};

/// A record.
pub(super) struct Shown {
    pub(super) index: u64,
    pub(super) time_ms: u64,
    node: String,
    caller: String,
    officer: String,
    purpose: String,
    case_number: String,
    operation: AccessOperation,
    outcome: String,
    revision: u64,
    people: Vec<Person>,
}

struct Person {
    personal_id: String,
    fields: Vec<Field>,
    outcome: SubjectOutcome,
}

impl Shown {
    /// What a row of the log says.
    pub(super) fn of(row: &AccessRow) -> anyhow::Result<Shown> {
        let unreadable = || format!("record {} of the log cannot be read", row.index);
        let (node, record) = read_leaf(&row.leaf).with_context(unreadable)?;
        let record = LogRecord::decode(record).with_context(unreadable)?;
        let Some(Body::Access(entry)) = record.body else { anyhow::bail!(unreadable()) };
        let operation = entry.operation();
        let people = entry.subjects.iter().enumerate().map(|(place, subject)| Person {
            personal_id: row.personal_ids.get(place).cloned().unwrap_or_default(),
            fields: subject.fields.iter().filter_map(|number| Field::try_from(*number).ok()).collect(),
            outcome: subject.outcome(),
        });
        Ok(Shown {
            index: row.index,
            time_ms: record.time_ms,
            node: node.to_owned(),
            people: people.collect(),
            operation,
            caller: entry.caller,
            officer: entry.officer,
            purpose: entry.purpose,
            case_number: entry.case_number,
            outcome: entry.outcome,
            revision: entry.revision,
        })
    }

    pub(super) fn json(&self) -> Value {
        let person = |person: &Person| {
            json!({ "personal_id": person.personal_id, "outcome": outcome(person.outcome, Language::En),
                    "fields": person.fields.iter().map(|field| field.name()).collect::<Vec<_>>() })
        };
        json!({
            "index": self.index,
            "time": self.moment(),
            "node": self.node,
            "caller": self.caller,
            "officer": self.officer,
            "purpose": self.purpose,
            "case_number": self.case_number,
            "operation": operation(self.operation, Language::En),
            "outcome": self.outcome,
            "revision": self.revision,
            "people": self.people.iter().map(person).collect::<Vec<_>>(),
        })
    }

    fn moment(&self) -> String {
        output::moment(Some(&Timestamp { seconds: (self.time_ms / 1000) as i64, nanos: 0 }))
    }

    /// What a row of the table says: of one person where it is about one, of all otherwise.
    fn cells(&self, person: Option<&str>, lang: Language) -> Vec<String> {
        let about: Vec<_> = match person {
            // Former numbers find the person too, so one alone is meant however it is written.
            Some(number) if self.people.len() > 1 => {
                let same: Vec<_> = self.people.iter().filter(|one| one.personal_id == number).collect();
                if same.is_empty() { self.people.iter().collect() } else { same }
            }
            _ => self.people.iter().collect(),
        };
        let label = |field: &Field| match lang {
            Language::Vi => field.spec().label_vi.to_owned(),
            Language::En => field.name().to_owned(),
        };
        let (whom, fields, result) = match about.as_slice() {
            [one] => {
                let fields = one.fields.iter().map(label).collect::<Vec<_>>().join(", ");
                (one.personal_id.clone(), fields, outcome(one.outcome, lang).to_owned())
            }
            [] => (String::new(), String::new(), self.outcome.clone()),
            many => {
                let people = match lang {
                    Language::Vi => "người",
                    Language::En => "people",
                };
                (format!("{} {people}", many.len()), String::new(), self.outcome.clone())
            }
        };
        let result = if self.outcome == "OK" || result == self.outcome {
            result
        } else {
            format!("{result} ({})", self.outcome)
        };
        let by = if self.caller.is_empty() {
            self.node.clone()
        } else {
            format!("{} / {}", self.node, self.caller)
        };
        let (officer, purpose, case) = (&self.officer, &self.purpose, &self.case_number);
        let mut cells = vec![self.moment(), by, officer.clone(), purpose.clone(), case.clone()];
        cells.push(operation(self.operation, lang).to_owned());
        if person.is_none() {
            cells.push(whom);
        }
        cells.extend([fields, result, self.index.to_string()]);
        // Officer, case and more are what a back-end or a node chose to say.
        cells.iter().map(|cell| output::plain(cell)).collect()
    }
}

/// Prints records, oldest first.
pub(super) fn table(rows: &[Shown], person: Option<&str>, lang: Language) {
    let header = match (lang, person) {
        (Language::Vi, Some(_)) => vec![
            "Thời gian",
            "Nút / hệ thống",
            "Cán bộ",
            "Mục đích",
            "Hồ sơ",
            "Thao tác",
            "Thông tin",
            "Kết quả",
            "Bản ghi",
        ],
        (Language::Vi, None) => vec![
            "Thời gian",
            "Nút / hệ thống",
            "Cán bộ",
            "Mục đích",
            "Hồ sơ",
            "Thao tác",
            "Công dân",
            "Thông tin",
            "Kết quả",
            "Bản ghi",
        ],
        (Language::En, Some(_)) => {
            vec!["Time", "Node / caller", "Officer", "Purpose", "Case", "Call", "Fields", "Outcome", "Record"]
        }
        (Language::En, None) => vec![
            "Time",
            "Node / caller",
            "Officer",
            "Purpose",
            "Case",
            "Call",
            "Person",
            "Fields",
            "Outcome",
            "Record",
        ],
    };
    if rows.is_empty() {
        output::done(match lang {
            Language::Vi => "không có lượt truy cập nào",
            Language::En => "no calls",
        });
        return;
    }
    let mut table = output::table_of(header);
    rows.iter().for_each(|row| _ = table.add_row(row.cells(person, lang)));
    output::show(table);
}

pub(super) fn operation(operation: AccessOperation, lang: Language) -> &'static str {
    let (vi, en) = match operation {
        AccessOperation::Unspecified => ("–", "–"),
        AccessOperation::Get => ("Tra cứu", "get"),
        AccessOperation::Batch => ("Tra cứu theo lô", "batch"),
        AccessOperation::Find => ("Tìm kiếm", "find"),
        AccessOperation::Verify => ("Xác thực", "verify"),
        AccessOperation::Reconcile => ("Đối soát", "reconcile"),
        AccessOperation::Watch => ("Theo dõi biến động", "watch"),
        AccessOperation::Remote => ("Tra cứu tại trung tâm", "remote"),
        AccessOperation::Report => ("Thông báo truy cập", "report"),
        AccessOperation::Interest => ("Danh sách quan tâm", "interest"),
        AccessOperation::Contribute => ("Cung cấp dữ liệu", "contribute"),
        AccessOperation::Procedure => ("Thủ tục liên thông", "procedure"),
        AccessOperation::Prefill => ("Điền sẵn biểu mẫu", "prefill"),
    };
    match lang {
        Language::Vi => vi,
        Language::En => en,
    }
}

fn outcome(outcome: SubjectOutcome, lang: Language) -> &'static str {
    let (vi, en) = match outcome {
        SubjectOutcome::Unspecified => ("–", "–"),
        SubjectOutcome::Answered => ("Đã cung cấp", "answered"),
        SubjectOutcome::NotFound => ("Không tìm thấy", "not found"),
        SubjectOutcome::Refused => ("Từ chối", "refused"),
    };
    match lang {
        Language::Vi => vi,
        Language::En => en,
    }
}
