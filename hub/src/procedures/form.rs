//! The TOML document of a form, and its checks. `deploy/forms/README.md` has the grammar.

use std::collections::BTreeSet;

use dancu_proto::{
    FieldPath,
    v1::{Form, FormField},
};
use serde::Deserialize;
use toml::Spanned;

use crate::agreements::{DocumentErrors, Problem, with_nearest_key};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: Spanned<String>,
    title: Spanned<String>,
    procedures: Vec<String>,
    legal_basis: Spanned<Vec<String>>,
    #[serde(default)]
    withdrawn: bool,
    fields: Spanned<Vec<FieldRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldRow {
    name: Spanned<String>,
    label: Spanned<String>,
    role: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    #[serde(default)]
    required: bool,
}

/// Reads and checks a document.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub(super) fn parse(text: &str) -> Result<Form, DocumentErrors> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let message = with_nearest_key(&error.message().trim().replace('\n', "; "));
        DocumentErrors(vec![Problem::at(text, &error.span().unwrap_or(0..0), message)])
    })?;
    let problems = problems(&document).into_iter();
    let mut problems: Vec<_> = problems.map(|(at, message)| Problem::at(text, &at, message)).collect();
    if !problems.is_empty() {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(DocumentErrors(problems));
    }
    let field = |row: FieldRow| FormField {
        name: row.name.into_inner(),
        label: row.label.into_inner(),
        role: row.role.map(Spanned::into_inner).unwrap_or_default(),
        from: row.from.map(Spanned::into_inner).unwrap_or_default(),
        required: row.required,
    };
    Ok(Form {
        id: document.id.into_inner(),
        title: document.title.into_inner(),
        procedures: document.procedures,
        legal_basis: document.legal_basis.into_inner().join("; "),
        fields: document.fields.into_inner().into_iter().map(field).collect(),
        withdrawn: document.withdrawn,
    })
}

fn problems(document: &Document) -> Vec<(std::ops::Range<usize>, String)> {
    let mut problems = Vec::new();
    let mut say = |at: std::ops::Range<usize>, message: String| problems.push((at, message));
    if !is_name(document.id.get_ref(), b'-') {
        say(document.id.span(), "must be 2 to 60 lower-case letters, digits and hyphens".into());
    }
    if document.title.get_ref().trim().is_empty() {
        say(document.title.span(), "a form needs a title".into());
    }
    if document.legal_basis.get_ref().iter().all(|basis| basis.trim().is_empty()) {
        say(document.legal_basis.span(), "name the provisions that set the form".into());
    }
    if document.fields.get_ref().is_empty() {
        say(document.fields.span(), "a form has fields".into());
    }
    let mut seen = BTreeSet::new();
    for row in document.fields.get_ref() {
        if !is_name(row.name.get_ref(), b'_') {
            say(row.name.span(), "must be 2 to 60 lower-case letters, digits and underscores".into());
        }
        if !seen.insert(row.name.get_ref()) {
            say(row.name.span(), format!("`{}` stands twice", row.name.get_ref()));
        }
        if row.label.get_ref().trim().is_empty() {
            say(row.label.span(), "the label is empty".into());
        }
        match (&row.role, &row.from) {
            (Some(role), None) => say(role.span(), "say in `from` which value it is".into()),
            (None, Some(from)) => say(from.span(), "say in `role` whose value it is".into()),
            (Some(role), Some(from)) => {
                if !is_name(role.get_ref(), b'-') {
                    say(role.span(), "must be 2 to 60 lower-case letters, digits and hyphens".into());
                }
                if let Err(error) = from.get_ref().parse::<FieldPath>() {
                    say(from.span(), error.to_string());
                }
            }
            (None, None) => {}
        }
    }
    problems
}

fn is_name(name: &str, beside: u8) -> bool {
    (2..=60).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT01: &str = include_str!("../../../deploy/forms/ct01.toml");

    #[test]
    fn the_form_of_residence_maps_its_fields_to_records() {
        let form = parse(CT01).unwrap();
        let head = form.fields.iter().find(|field| field.name == "head_name").unwrap();
        assert_eq!((head.role.as_str(), head.from.as_str(), head.required), ("head", "full_name", true));
        assert!(form.fields.iter().any(|field| field.from.is_empty() && field.required));
    }

    #[test]
    fn the_example_of_the_readme_is_good() {
        let page = include_str!("../../../deploy/forms/README.md");
        let example = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
        assert_eq!(parse(example).unwrap().fields.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let said = |from: &str, to: &str| {
            assert!(CT01.contains(from), "{from}");
            parse(&CT01.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(said("\"full_name\"", "\"fullname\"").contains("no field is called \"fullname\""));
        assert!(said("from = \"full_name\"\n", "").contains("say in `from` which value it is"));
        assert!(said("role = \"person\"\n", "").contains("say in `role` whose value it is"));
        assert!(
            said("name = \"person_name\"", "name = \"authority\"")
                .contains("line 14, column 8: `authority` stands twice")
        );
    }
}
