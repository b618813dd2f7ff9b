//! Documents of agreements: one that is good says the same when it is written anew, and what is wrong with
//! another stands at a place in it.

use std::fmt::Write;

use dancu_hub::agreements::{Agreement, AreaScope, DocumentErrors, differences, parse, scope_in_words};
use dancu_proto::{Areas, Field};
use toml::Value;

/// A document.
pub fn agreement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text, Areas::shipped()) {
        Ok(agreement) => is_good(&agreement),
        Err(DocumentErrors(problems)) => {
            assert!(!problems.is_empty());
            let lines = text.matches('\n').count() + 1;
            for problem in &problems {
                assert!((1..=lines).contains(&problem.line), "line {} of {lines}", problem.line);
                let line = text.split('\n').nth(problem.line - 1).unwrap();
                assert!((1..=line.chars().count() + 1).contains(&problem.column));
                assert!(!problem.message.is_empty() && !problem.message.contains('\n'));
            }
            assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
        }
    }
}

fn is_good(agreement: &Agreement) {
    let areas = Areas::shipped();
    assert!(agreement.fields.contains(Field::PersonalId) && agreement.version > 0);
    assert!(!agreement.purposes.is_empty() && !agreement.operations.is_empty());
    let written = written(agreement);
    assert_eq!(parse(&written, areas).as_ref(), Ok(agreement), "{written}");

    let order = areas.in_force();
    assert_eq!(agreement.scope.followed(areas.number(), areas), agreement.scope);
    assert!(differences(Some((agreement, order)), agreement, order).is_empty());
    assert!(!differences(None, agreement, order).is_empty());
    assert!(!scope_in_words(&agreement.scope, order).is_empty());
}

/// The document of an agreement.
fn written(agreement: &Agreement) -> String {
    let text = |text: &dyn ToString| Value::String(text.to_string()).to_string();
    let texts = |items: &mut dyn Iterator<Item = String>| {
        let items: Vec<_> = items.map(Value::String).collect();
        Value::Array(items).to_string()
    };
    let mut to = String::new();
    let mut line = |key: &str, value: String| writeln!(to, "{key} = {value}").unwrap();
    line("id", text(&agreement.id));
    line("version", agreement.version.to_string());
    line("agency", text(&agreement.agency));
    line("title", text(&agreement.title));
    line("legal_basis", texts(&mut agreement.legal_basis.iter().cloned()));
    line("valid_from", agreement.valid_from.to_string());
    if let Some(until) = &agreement.valid_until {
        line("valid_until", until.to_string());
    }
    line("operations", texts(&mut agreement.operations.iter().map(ToString::to_string)));
    line("fields", texts(&mut agreement.fields.iter().map(|field| field.name().to_owned())));
    let limit = agreement.offline_limit;
    line("offline_limit", text(&format!("{}s {}ns", limit.as_secs(), limit.subsec_nanos())));
    line("nodes", texts(&mut agreement.nodes.iter().cloned()));
    line("officers", text(&agreement.officers.name()));
    for purpose in &agreement.purposes {
        line("[[purposes]]\ncode", text(&purpose.code));
        line("title", text(&purpose.title));
    }
    let scope = &agreement.scope;
    let kinds = [
        (scope.residence.permanent, "permanent"),
        (scope.residence.temporary, "temporary"),
        (scope.residence.dwelling, "dwelling"),
    ];
    let kinds = kinds.iter().filter(|(counts, _)| *counts).map(|(_, name)| (*name).to_owned());
    line("[scope]\nresidence", texts(&mut kinds.into_iter()));
    match &scope.areas {
        AreaScope::Nation => line("nation", "true".into()),
        AreaScope::Interest => line("interest", "true".into()),
        AreaScope::Listed { provinces, communes } => {
            line("provinces", texts(&mut provinces.iter().map(ToString::to_string)));
            line("communes", texts(&mut communes.iter().map(ToString::to_string)));
        }
    }
    let conditions = &scope.conditions;
    let values = [
        ("living", conditions.living.map(|living| living.to_string())),
        ("born_from", conditions.born_from.map(|day| day.to_string())),
        ("born_until", conditions.born_until.map(|day| day.to_string())),
        ("age_from", conditions.age_from.map(|age| age.to_string())),
        ("age_below", conditions.age_below.map(|age| age.to_string())),
        ("[quota]\nper_second", agreement.quota.per_second.map(|people| people.to_string())),
    ];
    for (key, value) in values {
        value.into_iter().for_each(|value| line(key, value));
    }
    if let Some(per_day) = agreement.quota.per_day {
        let key = if agreement.quota.per_second.is_some() { "per_day" } else { "[quota]\nper_day" };
        line(key, per_day.to_string());
    }
    if let Some(withhold) = &agreement.withhold {
        line("[withhold]\nlegal_basis", text(&withhold.legal_basis));
        line("until", withhold.until.to_string());
    }
    to
}
