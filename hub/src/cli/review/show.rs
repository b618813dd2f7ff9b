//! `dancu-hub review show`: what was handed in of each person, side by side with what the registry has.

use console::style;
use dancu_proto::{
    Areas, Field,
    area::Division,
    hub::v1::{GetReviewRequest, Review, ReviewDecision, ReviewSide, ReviewSource},
    v1::{Citizen, Contribution, Document},
    words::{describe, event},
};
use serde_json::{Value, json};

use super::{as_json, why};
use crate::cli::{Global, connect, output};

/// Where there is no value.
const NONE: &str = "–";

pub(super) async fn show(global: &Global, number: u64) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let found = reviews.get_review(GetReviewRequest { number }).await?.into_inner();
    let areas = connect::order(global).await?;
    let review = found.review.unwrap_or_default();
    let said = found.contribution.unwrap_or_default();
    if global.json {
        let sides: Vec<Value> = found.sides.iter().map(|side| side_as_json(side, &areas)).collect();
        return output::json(&json!({ "review": as_json(&review), "contribution": said, "sides": sides }));
    }
    output::pairs(&heading(&review, &said));
    for side in &found.sides {
        print(side, &areas);
    }
    Ok(())
}

fn heading(review: &Review, said: &Contribution) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("review", review.number.to_string()),
        ("event", format!("{} of {}, from {}", event(&review.event), review.agency, review.node)),
        ("contribution", review.contribution_id.clone()),
        ("holds from", said.effective_date.map_or_else(|| NONE.to_owned(), |day| day.to_string())),
        ("document", said.document.as_ref().map_or_else(|| NONE.to_owned(), document)),
        ("why", format!("{}: {}", why(review), review.message)),
        ("since", output::moment(review.since.as_ref())),
    ];
    if let Some(context) = &said.context {
        let by =
            format!("{}, officer {}", output::plain(&context.case_number), output::plain(&context.officer));
        rows.insert(3, ("case file", by));
    }
    if let Some(opens) = &said.opens {
        rows.push(("opens a case", opens.procedure.clone()));
    }
    if let Some(task) = &said.task {
        rows.push(("completes", format!("step {} of case {}", task.step, task.case_id)));
    }
    match &review.decision {
        None => rows.push(("decision", "open".into())),
        Some(decision) => rows.push(("decision", decided(decision))),
    }
    rows
}

fn document(document: &Document) -> String {
    let date = document.date.map(|date| format!("of {date}")).unwrap_or_default();
    let parts = [output::plain(&document.number), date].join(" ");
    match document.issued_by.as_str() {
        "" => parts.trim().to_owned(),
        by => format!("{}, issued by {}", parts.trim(), output::plain(by)),
    }
}

fn decided(decision: &ReviewDecision) -> String {
    let what = if decision.accepted { "accepted" } else { "rejected" };
    let document = match decision.document_number.as_str() {
        "" => String::new(),
        number => format!(" (document {})", output::plain(number)),
    };
    let (by, at) = (&decision.operator, output::moment(decision.time.as_ref()));
    format!("{what} by {by} at {at}: {}{document}", output::plain(&decision.reason))
}

/// One field, side by side.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    field: Field,
    registered: Option<String>,
    handed_in: Option<String>,
}

fn rows(side: &ReviewSide, order: &Division) -> Vec<Row> {
    let words = |field, of: &Option<Citizen>| of.as_ref().and_then(|of| describe(field, of, order));
    let fields = side.fields.iter().filter_map(|number| Field::try_from(*number).ok());
    let row = |field: Field| {
        let number = i32::from(dancu_proto::v1::Field::from(field));
        let added = words(field, &side.added).map(|items| format!("and also: {items}"));
        let cleared = side.cleared.contains(&number).then(|| "no value any more".to_owned());
        let given = (side.gets_number && field == Field::PersonalId).then(|| "a new number".to_owned());
        let handed_in = words(field, &side.handed_in).or(cleared).or(given);
        let handed_in = match (handed_in, added) {
            (Some(all), Some(more)) => Some(format!("{all}\n{more}")),
            (all, more) => all.or(more),
        };
        Row { field, registered: words(field, &side.registered), handed_in }
    };
    fields.map(row).collect()
}

fn source(side: &ReviewSide, field: Field) -> Option<&ReviewSource> {
    let number = i32::from(dancu_proto::v1::Field::from(field));
    side.sources.iter().find(|known| known.field == number)
}

/// What becomes of the record as a whole.
fn fate(side: &ReviewSide) -> Option<String> {
    match side.goes_into.as_str() {
        "" if side.cancelled => Some("the record is cancelled, with its number".into()),
        "" => None,
        number => Some(format!("the record goes into that of {number}")),
    }
}

fn print(side: &ReviewSide, areas: &Areas) {
    let number = match side.personal_id.as_str() {
        "" => "(no number yet)",
        number => number,
    };
    let name = output::plain(&side.full_name);
    let new = if side.enters { "  enters the registry" } else { "" };
    println!("\n{} {number}  {}{new}", style("Person").bold(), style(name).bold());
    if let Some(fate) = fate(side) {
        println!("{fate}");
    }
    let rows = rows(side, areas.in_force());
    if rows.is_empty() {
        return;
    }
    let mut table = output::table(["field", "registered", "by", "from", "handed in"]);
    for row in rows {
        let known = source(side, row.field).filter(|_| row.registered.is_some());
        let text = |text: Option<String>, none: &str| {
            text.map_or_else(|| none.to_owned(), |text| output::plain_lines(&text))
        };
        table.add_row([
            format!("{}\n{}", row.field.spec().label_vi, row.field.name()),
            text(row.registered, NONE),
            known.map(|known| known.source.clone()).unwrap_or_default(),
            known.and_then(|known| known.effective_date).map(|date| date.to_string()).unwrap_or_default(),
            text(row.handed_in, "(says nothing of it)"),
        ]);
    }
    output::show(table);
}

fn side_as_json(side: &ReviewSide, areas: &Areas) -> Value {
    let fields = rows(side, areas.in_force()).into_iter().map(|row| {
        let known = source(side, row.field);
        json!({
            "field": row.field.name(), "label": row.field.spec().label_vi,
            "registered": row.registered, "handed_in": row.handed_in,
            "source": known.map(|known| &known.source),
            "effective_date": known.and_then(|known| known.effective_date).map(|date| date.to_string()),
            "revision": known.map(|known| known.revision),
        })
    });
    json!({
        "personal_id": side.personal_id, "full_name": side.full_name, "enters": side.enters,
        "gets_number": side.gets_number, "becomes": fate(side), "fields": fields.collect::<Vec<_>>(),
        "registered": side.registered, "handed_in": side.handed_in, "added": side.added,
        "cleared": crate::review::names_of(&side.cleared),
    })
}

#[cfg(test)]
mod tests {
    use dancu_proto::{
        FieldSet,
        v1::{Date, IdentityCard, IdentityCardList, Name},
    };

    use super::*;

    fn numbers(fields: &[Field]) -> Vec<i32> {
        let fields: FieldSet = fields.iter().copied().collect();
        fields.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect()
    }

    #[test]
    fn every_field_has_words_on_both_sides() {
        let card = IdentityCard { issued_on: Some(Date::from_number(20_260_301)), ..IdentityCard::default() };
        let cards = IdentityCardList { items: vec![card] };
        let named = |name| Citizen { full_name: Some(Name::from_full(name)), ..Citizen::default() };
        let side = ReviewSide {
            registered: Some(Citizen { mobile_number: "0912".into(), ..named("Nguyễn Văn Một") }),
            handed_in: Some(named("Nguyễn Văn Hai")),
            added: Some(Citizen { identity_cards: Some(cards), ..Citizen::default() }),
            cleared: numbers(&[Field::MobileNumber]),
            fields: numbers(&[Field::FullName, Field::IdentityCards, Field::MobileNumber, Field::Sex]),
            ..ReviewSide::default()
        };
        let rows = rows(&side, Areas::shipped().in_force());
        let of = |field: Field| {
            let row = rows.iter().find(|row| row.field == field).unwrap();
            (row.registered.as_deref(), row.handed_in.as_deref())
        };
        assert_eq!(of(Field::FullName), (Some("Nguyễn Văn Một"), Some("Nguyễn Văn Hai")));
        assert_eq!(of(Field::IdentityCards), (None, Some("and also: issued 2026-03-01")));
        assert_eq!(of(Field::MobileNumber), (Some("0912"), Some("no value any more")));
        assert_eq!(of(Field::Sex), (None, None));
    }

    #[test]
    fn a_decision_says_who_when_why_and_on_what_paper() {
        let decision = ReviewDecision {
            accepted: true,
            reason: "giấy khai sinh".into(),
            operator: "lan".into(),
            document_number: "Q/1".into(),
            time: None,
        };
        assert_eq!(decided(&decision), "accepted by lan at –: giấy khai sinh (document Q/1)");
        let paper = Document {
            number: "12".into(),
            date: Some(Date::from_number(20_260_301)),
            issued_by: "UBND".into(),
        };
        assert_eq!(document(&paper), "12 of 2026-03-01, issued by UBND");
    }
}
