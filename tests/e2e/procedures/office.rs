//! An office as its clerks work with it: a node, and its command line.

use std::{path::PathBuf, sync::Mutex};

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, Node, eventually};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::offset};
use uuid::Uuid;

/// An office: its node, and the purpose that it has.
pub(super) struct Office {
    pub(super) node: Node,
    pub(super) purpose: String,
    pub(super) files: tempfile::TempDir,
}

impl Office {
    pub(super) async fn open(hub: &Hub, agency: &str, purpose: &str) -> Office {
        let node = hub.enroll(&format!("{agency}-n"), agency).await;
        node.is("serving").await;
        Office { node, purpose: purpose.to_owned(), files: tempfile::tempdir().unwrap() }
    }

    pub(super) async fn cli(&self, args: &[&str]) -> Result<String, String> {
        let context = ["--purpose", &self.purpose, "--case", "H01.2026.7", "--officer", "CB-01"];
        self.node.cli(&[args, &context].concat()).await
    }

    pub(super) async fn json(&self, args: &[&str]) -> Value {
        let printed = self.cli(&[args, &["--json"]].concat()).await.unwrap();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    pub(super) fn file(&self, contribution: &Value) -> PathBuf {
        let file = self.files.path().join(format!("{}.json", Uuid::now_v7()));
        std::fs::write(&file, contribution.to_string()).unwrap();
        file
    }

    /// Registers something, and opens a case by it.
    pub(super) async fn register(&self, event: Value, opens: Value) -> String {
        let id = Uuid::now_v7().to_string();
        let mut contribution = registered(event);
        contribution["id"] = json!(id);
        contribution["opens"] = opens;
        let file = self.file(&contribution);
        self.cli(&["contribute", file.to_str().unwrap()]).await.unwrap();
        id
    }

    /// The task of a case, once it is here.
    pub(super) async fn task(&self, case: &str) -> Value {
        let found = Mutex::new(Value::Null);
        let look = || async {
            let tasks = self.json(&["task", "list"]).await;
            let task = tasks.as_array().unwrap().iter().find(|task| task["case_id"] == case).cloned();
            *found.lock().unwrap() = task.clone().unwrap_or_default();
            task.is_some()
        };
        eventually(&format!("a task of {}", self.purpose), look).await;
        found.into_inner().unwrap()
    }

    /// How a case stands, as soon as it stands so.
    pub(super) async fn sees(&self, case: &str, expected: &[&str]) -> Value {
        let found = Mutex::new(Value::Null);
        let look = || async {
            let Ok(printed) = self.cli(&["case", "show", case, "--json"]).await else { return false };
            let shown: Value = serde_json::from_str(&printed).unwrap();
            let steps = shown["case"]["steps"].as_array().unwrap();
            let states: Vec<_> = steps.iter().map(|step| step["state"].as_str().unwrap()).collect();
            let so = states == expected;
            *found.lock().unwrap() = shown["case"].clone();
            so
        };
        eventually(&format!("{} to see {expected:?}", self.purpose), look).await;
        found.into_inner().unwrap()
    }
}

/// What was registered today.
pub(super) fn registered(event: Value) -> Value {
    let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
    json!({
        "effective_date": today, "event": event,
        "document": { "number": "7/2026", "date": today, "issued_by": "UBND" },
    })
}

/// Where somebody lives.
pub(super) fn home(person: &Citizen) -> &dancu_proto::v1::Address {
    person.permanent_residence.as_ref().unwrap()
}

/// A value that a task or a form has been given.
pub(super) fn value(of: &Value, name: &str) -> Option<Value> {
    let values = of.get("prefilled").or(of.get("values")).and_then(Value::as_array).unwrap();
    values.iter().find(|value| value["name"] == name).map(|value| value["value"].clone())
}
