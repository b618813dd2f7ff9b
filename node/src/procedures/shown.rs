//! What of a task is shown under a purpose: what the hub said that the agreements with that purpose give, as
//! far as they still give it.

use dancu_proto::{FieldPath, FieldSet, v1::Task};

/// A task as it is shown under a purpose, whose agreements now give these fields; none if it is not to be done
/// under it. An agreement that became narrower takes effect here before the hub's mail says so.
pub(super) fn shown(mut task: Task, purpose: &str, fields: FieldSet) -> Option<Task> {
    let view = std::mem::take(&mut task.views).into_iter().find(|view| view.purpose == purpose)?;
    let given = |source: &str| {
        let path = source.split_once(": ").and_then(|(_, from)| from.parse::<FieldPath>().ok());
        path.is_none_or(|path| fields.contains(path.field))
    };
    task.persons.retain(|role, _| view.persons.contains(role));
    let mut hidden = Vec::new();
    task.prefilled.retain(|value| {
        // What somebody said in the case is no field of the registry, whatever its name.
        let registered = value.revision != 0 || value.source == view.address_source;
        let shown = view.prefilled.contains(&value.name) && (!registered || given(&value.source));
        if !shown {
            hidden.push(value.name.clone());
        }
        shown
    });
    task.missing.append(&mut hidden);
    if view.address_source.is_empty() || !given(&view.address_source) {
        task.address = None;
    }
    Some(task)
}

#[cfg(test)]
mod tests {
    use dancu_proto::{
        Field,
        v1::{Address, PrefilledValue, TaskView},
    };

    use super::*;

    fn task() -> Task {
        let value = |name: &str, source: &str, revision| PrefilledValue {
            name: name.into(),
            source: source.into(),
            revision,
            ..PrefilledValue::default()
        };
        let view = |purpose: &str, persons: &[&str], prefilled: &[&str], address_source: &str| TaskView {
            purpose: purpose.into(),
            persons: persons.iter().map(|role| (*role).into()).collect(),
            prefilled: prefilled.iter().map(|name| (*name).into()).collect(),
            address_source: address_source.into(),
        };
        let home = "mother: permanent_residence";
        Task {
            persons: [("child".into(), "1".into()), ("mother".into(), "2".into())].into(),
            prefilled: vec![
                value("mother_name", "mother: full_name", 7),
                value("mother_phone", "mother: mobile_number", 7),
                value("clinic", "applicant: full_name", 0),
                value("address", home, 0),
            ],
            address: Some(Address::default()),
            missing: vec!["father_name".into()],
            views: vec![
                view("health", &["child"], &["clinic"], ""),
                view("home", &["child", "mother"], &["mother_name", "clinic", "address"], home),
            ],
            ..Task::default()
        }
    }

    fn names(task: &Task) -> Vec<&str> {
        task.prefilled.iter().map(|value| value.name.as_str()).collect()
    }

    #[test]
    fn a_task_shows_what_the_agreements_of_its_purpose_give() {
        let all = FieldSet::from_iter(Field::ALL.iter().copied());
        assert_eq!(shown(task(), "other", all), None);
        let home = shown(task(), "home", all).unwrap();
        assert_eq!(names(&home), ["mother_name", "clinic", "address"]);
        assert_eq!(home.missing, ["father_name", "mother_phone"]);
        assert!(home.address.is_some() && home.views.is_empty() && home.persons.len() == 2);
        let health = shown(task(), "health", all).unwrap();
        assert_eq!((names(&health), health.persons.len()), (vec!["clinic"], 1));
        assert_eq!(health.address, None);
    }

    #[test]
    fn what_an_agreement_of_now_does_not_give_is_not_shown() {
        let home = shown(task(), "home", FieldSet::from_iter([Field::Sex])).unwrap();
        assert_eq!(names(&home), ["clinic"]);
        assert_eq!(home.address, None);
        assert_eq!(home.missing, ["father_name", "mother_name", "mother_phone", "address"]);
    }
}
