//! What a new version of an agreement changes, in words for the person who approves it.

use dancu_proto::{FieldSet, area::Division};

use super::{Agreement, AreaScope, Scope};

/// What a new version changes, a line each; all that it gives where there was none before. Each comes
/// with the administrative order by which its document names areas.
#[must_use]
pub fn differences(old: Option<(&Agreement, &Division)>, new: &Agreement, order: &Division) -> Vec<String> {
    let mut lines = Vec::new();
    let Some((old, old_order)) = old else {
        lines.push(format!("new agreement for {}", new.agency));
        let names: Vec<_> = new.fields.iter().map(|field| field.name()).collect();
        lines.push(format!("gives {} fields: {}", names.len(), names.join(", ")));
        lines.push(format!("covers {}", scope_in_words(&new.scope, order)));
        return lines;
    };
    if old.agency != new.agency {
        lines.push(format!("agency {} → {}", old.agency, new.agency));
    }
    lines.extend(fields("loses", old.fields.difference(new.fields)));
    lines.extend(fields("gains", new.fields.difference(old.fields)));
    let scopes = [scope_in_words(&old.scope, old_order), scope_in_words(&new.scope, order)];
    // Two communes may have one name.
    let same_order = old_order.number == order.number;
    if scopes[0] != scopes[1] || (same_order && old.scope != new.scope) {
        lines.push(format!("scope {}", scopes.join(" → ")));
    }
    let codes = |a: &Agreement| a.purposes.iter().map(|p| p.code.clone()).collect::<Vec<_>>();
    let operations = |a: &Agreement| a.operations.iter().map(ToString::to_string).collect::<Vec<_>>();
    lines.extend(names("purpose", &codes(old), &codes(new)));
    lines.extend(names("operation", &operations(old), &operations(new)));
    let roles = |a: &Agreement| a.contributes_as.iter().cloned().collect::<Vec<_>>();
    lines.extend(names("role", &roles(old), &roles(new)));
    lines.extend(names("node", &old.nodes, &new.nodes));
    if old.offline_limit != new.offline_limit {
        let (old, new) = (old.offline_limit, new.offline_limit);
        lines.push(format!(
            "offline limit {} → {}",
            humantime::format_duration(old),
            humantime::format_duration(new)
        ));
    }
    if (old.valid_from, old.valid_until) != (new.valid_from, new.valid_until) {
        lines.push(format!("valid {} → {}", validity(old), validity(new)));
    }
    if old.withhold != new.withhold {
        let basis = |agreement: &Agreement| match &agreement.withhold {
            None => "shown".to_owned(),
            Some(withhold) => format!("withheld until {} by {}", withhold.until, withhold.legal_basis),
        };
        lines.push(format!("accesses {} → {}", basis(old), basis(new)));
    }
    if old.officers != new.officers {
        lines.push(format!("officers {} → {}", old.officers.name(), new.officers.name()));
    }
    if old.quota != new.quota {
        lines.push("quota changes".into());
    }
    lines
}

fn fields(verb: &str, fields: FieldSet) -> impl Iterator<Item = String> {
    fields.iter().map(move |field| format!("{verb} field {} ({})", field.name(), field.spec().label_vi))
}

fn names(kind: &str, old: &[String], new: &[String]) -> Vec<String> {
    let lost = old.iter().filter(|name| !new.contains(name)).map(|name| format!("loses {kind} {name}"));
    let gained = new.iter().filter(|name| !old.contains(name)).map(|name| format!("gains {kind} {name}"));
    lost.chain(gained).collect()
}

fn validity(agreement: &Agreement) -> String {
    let until = agreement.valid_until.map_or("open".to_owned(), |date| date.to_string());
    format!("{} to {until}", agreement.valid_from)
}

/// A scope in words, by the administrative order that names its areas.
#[must_use]
pub fn scope_in_words(scope: &Scope, order: &Division) -> String {
    let mut words = match &scope.areas {
        AreaScope::Nation => "the nation".to_owned(),
        AreaScope::Interest => "those whom the agency names".to_owned(),
        AreaScope::Listed { provinces, communes } => {
            let provinces = provinces.iter().map(|code| order.province(*code).unwrap_or("?").to_owned());
            let communes = communes
                .iter()
                .map(|code| order.commune(*code).map_or("?", |commune| commune.name.as_str()).to_owned());
            provinces.chain(communes).collect::<Vec<_>>().join(", ")
        }
    };
    if let AreaScope::Listed { .. } = scope.areas {
        let kinds = [
            (scope.residence.permanent, "permanent"),
            (scope.residence.temporary, "temporary"),
            (scope.residence.dwelling, "dwelling"),
        ];
        let counted: Vec<_> = kinds.into_iter().filter(|(counts, _)| *counts).map(|(_, name)| name).collect();
        words.push_str(&format!(" ({})", counted.join("+")));
    }
    let conditions = &scope.conditions;
    match conditions.living {
        Some(true) => words.push_str(", living"),
        Some(false) => words.push_str(", dead"),
        None => {}
    }
    if let Some(date) = conditions.born_from {
        words.push_str(&format!(", born from {date}"));
    }
    if let Some(date) = conditions.born_until {
        words.push_str(&format!(", born until {date}"));
    }
    if let Some(age) = conditions.age_from {
        words.push_str(&format!(", aged {age} or older"));
    }
    if let Some(age) = conditions.age_below {
        words.push_str(&format!(", under {age} years old"));
    }
    words
}
