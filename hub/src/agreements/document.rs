//! The TOML document of an agreement, and its checks. `deploy/agreements/README.md` has the grammar.

use std::{collections::BTreeSet, fmt, ops::Range, str::FromStr, time::Duration};

use dancu_proto::{Areas, CommuneCode, Field, FieldSet, ProvinceCode, area::Division, v1::Date};
use serde::Deserialize;
use toml::Spanned;

use super::{
    AgencyId, Agreement, AreaScope, Conditions, Officers, Operation, Purpose, Quota, ResidenceKinds, Scope,
    Withhold,
};
use crate::intake::event::OPERATOR;

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// At a place of a text.
    pub(crate) fn at(text: &str, place: &Range<usize>, message: impl Into<String>) -> Problem {
        let before = text.get(..place.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Problem { line, column, message: message.into() }
    }
}

/// All that is wrong with a document, by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentErrors(pub Vec<Problem>);

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, problem) in self.0.iter().enumerate() {
            if count > 0 {
                f.write_str("\n")?;
            }
            write!(f, "line {}, column {}: {}", problem.line, problem.column, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentErrors {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: Spanned<String>,
    version: Spanned<u32>,
    agency: Spanned<String>,
    title: Spanned<String>,
    legal_basis: Spanned<Vec<String>>,
    valid_from: Spanned<toml::value::Datetime>,
    valid_until: Option<Spanned<toml::value::Datetime>>,
    operations: Spanned<Vec<Spanned<String>>>,
    contributes_as: Option<Spanned<Vec<Spanned<String>>>>,
    fields: Spanned<Vec<Spanned<String>>>,
    offline_limit: Spanned<String>,
    #[serde(default)]
    nodes: Vec<Spanned<String>>,
    officers: Option<Spanned<String>>,
    purposes: Spanned<Vec<PurposeRow>>,
    scope: Spanned<ScopeTable>,
    #[serde(default)]
    quota: QuotaTable,
    withhold: Option<WithholdTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithholdTable {
    legal_basis: Spanned<String>,
    until: Spanned<toml::value::Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeRow {
    code: Spanned<String>,
    title: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    nation: Option<Spanned<bool>>,
    interest: Option<Spanned<bool>>,
    #[serde(default)]
    provinces: Vec<Spanned<String>>,
    #[serde(default)]
    communes: Vec<Spanned<String>>,
    residence: Option<Spanned<Vec<Spanned<String>>>>,
    living: Option<bool>,
    born_from: Option<Spanned<toml::value::Datetime>>,
    born_until: Option<Spanned<toml::value::Datetime>>,
    age_from: Option<Spanned<u32>>,
    age_below: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaTable {
    per_second: Option<Spanned<u32>>,
    per_day: Option<Spanned<u32>>,
}

/// Reads and checks a document, which names areas by the order in force.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub fn parse(text: &str, areas: &Areas) -> Result<Agreement, DocumentErrors> {
    let mut check = Check { text, areas, order: areas.in_force(), problems: Vec::new() };
    let document = match toml::from_str::<Document>(text) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().trim().replace('\n', "; ");
            check.problem(error.span().unwrap_or(0..0), with_nearest_key(&message));
            return Err(DocumentErrors(check.problems));
        }
    };
    let agreement = check.agreement(&document);
    check.problems.sort_by_key(|problem| (problem.line, problem.column));
    match agreement {
        Some(agreement) if check.problems.is_empty() => Ok(agreement),
        _ => Err(DocumentErrors(check.problems)),
    }
}

struct Check<'a> {
    text: &'a str,
    areas: &'a Areas,
    order: &'a Division,
    problems: Vec<Problem>,
}

/// Offline limits lie between a minute and 400 days.
const OFFLINE_LIMITS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(400 * 86_400);

/// Ages at which something may begin or end, in years.
const AGES: std::ops::RangeInclusive<u32> = 1..=150;

impl Check<'_> {
    fn problem(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(self.text, &at, message));
    }

    fn agreement(&mut self, document: &Document) -> Option<Agreement> {
        let id = self.identifier(&document.id);
        let agency = self.identifier(&document.agency);
        if *document.version.get_ref() == 0 {
            self.problem(document.version.span(), "versions count from 1");
        }
        if document.title.get_ref().trim().is_empty() {
            self.problem(document.title.span(), "an agreement needs a title");
        }
        if document.legal_basis.get_ref().iter().all(|basis| basis.trim().is_empty()) {
            self.problem(document.legal_basis.span(), "name the provisions the agreement rests on");
        }
        let valid_from = self.day(&document.valid_from);
        let valid_until = document.valid_until.as_ref().and_then(|date| self.day(date));
        if let (Some(from), Some(until), Some(at)) = (&valid_from, &valid_until, &document.valid_until)
            && until.as_number() < from.as_number()
        {
            self.problem(at.span(), format!("ends before it begins ({from})"));
        }
        let purposes = self.purposes(&document.purposes);
        let operations = self.operations(&document.operations);
        let contributes_as = self.roles(&document.operations, &operations, document.contributes_as.as_ref());
        let fields = self.fields(&document.fields);
        if operations.contains(&Operation::Verify) && fields.len() < 2 {
            self.problem(document.fields.span(), "`verify` needs a field to compare besides the number");
        }
        let scope = self.scope(&document.scope);
        let offline_limit = self.offline_limit(&document.offline_limit);
        let quota = self.quota(&document.quota);
        let officers = self.officers(document.officers.as_ref());
        let withhold = document.withhold.as_ref().map(|table| self.withhold(table));
        Some(Agreement {
            id: id?,
            version: *document.version.get_ref(),
            agency: agency?,
            title: document.title.get_ref().trim().to_owned(),
            legal_basis: document.legal_basis.get_ref().clone(),
            valid_from: valid_from?,
            valid_until,
            purposes,
            operations,
            contributes_as,
            fields,
            scope,
            offline_limit: offline_limit?,
            quota,
            officers,
            withhold: withhold.flatten(),
            nodes: document.nodes.iter().map(|name| name.get_ref().clone()).collect(),
        })
    }

    fn identifier<T: FromStr<Err = &'static str>>(&mut self, text: &Spanned<String>) -> Option<T> {
        text.get_ref().parse().map_err(|error: &str| self.problem(text.span(), error)).ok()
    }

    fn day(&mut self, value: &Spanned<toml::value::Datetime>) -> Option<Date> {
        let datetime = value.get_ref();
        match (&datetime.date, &datetime.time) {
            (Some(date), None) => {
                let day = Date::checked(date.year.into(), date.month.into(), date.day.into());
                day.map_err(|error| self.problem(value.span(), error.to_string())).ok()
            }
            _ => {
                self.problem(value.span(), "write a whole day, like 2026-01-31");
                None
            }
        }
    }

    fn purposes(&mut self, rows: &Spanned<Vec<PurposeRow>>) -> Vec<Purpose> {
        if rows.get_ref().is_empty() {
            self.problem(rows.span(), "name at least one purpose");
        }
        let mut seen = BTreeSet::new();
        for row in rows.get_ref() {
            let code = row.code.get_ref();
            if !is_purpose(code) {
                self.problem(
                    row.code.span(),
                    "a purpose is 1 to 64 letters, digits, dots, hyphens, underscores",
                );
            } else if !seen.insert(code) {
                self.problem(row.code.span(), format!("purpose `{code}` stands twice"));
            }
        }
        let purpose =
            |row: &PurposeRow| Purpose { code: row.code.get_ref().clone(), title: row.title.clone() };
        rows.get_ref().iter().map(purpose).collect()
    }

    fn operations(&mut self, names: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<Operation> {
        if names.get_ref().is_empty() {
            self.problem(names.span(), "name at least one operation");
        }
        let mut operations = BTreeSet::new();
        for name in names.get_ref() {
            match Operation::ALL.iter().find(|operation| operation.name() == name.get_ref()) {
                Some(operation) => _ = operations.insert(*operation),
                None => {
                    let known = Operation::ALL.iter().map(|operation| operation.name());
                    self.problem(name.span(), unknown("operation", name.get_ref(), known));
                }
            }
        }
        operations
    }

    /// The roles that events are handed in as.
    fn roles(
        &mut self,
        at: &Spanned<Vec<Spanned<String>>>,
        operations: &BTreeSet<Operation>,
        names: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> BTreeSet<String> {
        let contributes = operations.contains(&Operation::Contribute);
        let named = names.is_some_and(|names| !names.get_ref().is_empty());
        if contributes && !named {
            let message =
                "`contribute` needs `contributes_as`: roles of the authority table, like \"residence\"";
            self.problem(at.span(), message);
        }
        let Some(names) = names else { return BTreeSet::new() };
        if !contributes {
            self.problem(names.span(), "`contributes_as` needs the operation `contribute`");
        }
        for name in names.get_ref() {
            if let Err(error) = name.get_ref().parse::<AgencyId>() {
                self.problem(name.span(), error);
            }
            if name.get_ref() == OPERATOR {
                self.problem(name.span(), "is the hub's own: no agency has the authority of its operators");
            }
        }
        names.get_ref().iter().map(|name| name.get_ref().clone()).collect()
    }

    fn fields(&mut self, names: &Spanned<Vec<Spanned<String>>>) -> FieldSet {
        let mut fields: FieldSet = [Field::PersonalId].into_iter().collect();
        for name in names.get_ref() {
            match name.get_ref().parse::<Field>() {
                Ok(field) => fields.insert(field),
                Err(_) => {
                    let known = Field::ALL.iter().map(|field| field.name());
                    self.problem(name.span(), unknown("field", name.get_ref(), known));
                }
            }
        }
        fields
    }

    /// Where an area that is no longer in force lies now, for the one who still writes its code.
    fn went_to<C: FromStr + Copy>(&self, code: &str, now: impl Fn(C, u32) -> Option<String>) -> String {
        let Ok(code) = code.parse::<C>() else { return String::new() };
        let now = self.areas.latest_first().skip(1).find_map(|order| now(code, order.number));
        now.map(|now| format!("; what it was lies in {now} now")).unwrap_or_default()
    }

    fn scope(&mut self, table: &Spanned<ScopeTable>) -> Scope {
        let scope = table.get_ref();
        let (mut provinces, mut communes) = (BTreeSet::new(), BTreeSet::new());
        for code in &scope.provinces {
            match self.order.parse_province(code.get_ref()) {
                Ok(province) => _ = provinces.insert(province),
                Err(error) => {
                    let now = self.went_to(code.get_ref(), |code: ProvinceCode, division| {
                        self.areas.province_now(code.under(division)).map(|now| now.to_string())
                    });
                    self.problem(code.span(), format!("{error}{now}"));
                }
            }
        }
        for code in &scope.communes {
            match self.order.parse_commune(code.get_ref()) {
                Ok(commune) if provinces.contains(&commune.province) => {
                    let province = commune.province;
                    self.problem(
                        code.span(),
                        format!(
                            "{} lies in province {province}, which is listed whole; leave one out",
                            commune.name
                        ),
                    );
                }
                Ok(commune) => _ = communes.insert(commune.code),
                Err(error) => {
                    let now = self.went_to(code.get_ref(), |code: CommuneCode, division| {
                        self.areas.commune_now(code.under(division)).map(|now| now.to_string())
                    });
                    self.problem(code.span(), format!("{error}{now}"));
                }
            }
        }
        let listed = !scope.provinces.is_empty() || !scope.communes.is_empty();
        let said = |key: &Option<Spanned<bool>>| key.as_ref().is_some_and(|key| *key.get_ref());
        let areas = match (said(&scope.nation), said(&scope.interest)) {
            (false, false) => {
                if !listed {
                    self.problem(
                        table.span(),
                        "the scope is empty: say `nation = true` or `interest = true`, or list provinces or communes",
                    );
                }
                AreaScope::Listed { provinces, communes }
            }
            (nation, interest) => {
                let at = scope.nation.as_ref().filter(|_| nation).or(scope.interest.as_ref());
                let at = at.map_or(table.span(), Spanned::span);
                if listed && nation {
                    self.problem(at, "the nation has all areas already; leave out one or the other");
                } else if (listed || nation) && interest {
                    self.problem(at, "an interest list has those whom the agency names, wherever they live; leave out one or the other");
                }
                if interest { AreaScope::Interest } else { AreaScope::Nation }
            }
        };
        Scope { areas, residence: self.residence(scope), conditions: self.conditions(scope) }
    }

    fn residence(&mut self, scope: &ScopeTable) -> ResidenceKinds {
        let Some(names) = &scope.residence else {
            return ResidenceKinds { permanent: true, temporary: true, dwelling: false };
        };
        let mut kinds = ResidenceKinds { permanent: false, temporary: false, dwelling: false };
        if names.get_ref().is_empty() {
            self.problem(names.span(), "say which addresses count: permanent, temporary, dwelling");
        }
        for name in names.get_ref() {
            match name.get_ref().as_str() {
                "permanent" => kinds.permanent = true,
                "temporary" => kinds.temporary = true,
                "dwelling" => kinds.dwelling = true,
                other => {
                    let known = ["permanent", "temporary", "dwelling"].into_iter();
                    self.problem(name.span(), unknown("residence", other, known));
                }
            }
        }
        kinds
    }

    fn conditions(&mut self, scope: &ScopeTable) -> Conditions {
        let born_from = scope.born_from.as_ref().and_then(|date| self.day(date));
        let born_until = scope.born_until.as_ref().and_then(|date| self.day(date));
        if let (Some(from), Some(until), Some(at)) = (&born_from, &born_until, &scope.born_until)
            && until.as_number() < from.as_number()
        {
            self.problem(at.span(), format!("no one is born both from {from} and until {until}"));
        }
        let age_from = scope.age_from.as_ref().and_then(|age| self.age(age));
        let age_below = scope.age_below.as_ref().and_then(|age| self.age(age));
        if let (Some(from), Some(below), Some(at)) = (age_from, age_below, &scope.age_below)
            && below <= from
        {
            self.problem(at.span(), format!("no one is both {from} years old and younger than {below}"));
        }
        Conditions { living: scope.living, born_from, born_until, age_from, age_below }
    }

    fn age(&mut self, age: &Spanned<u32>) -> Option<u32> {
        if AGES.contains(age.get_ref()) {
            return Some(*age.get_ref());
        }
        self.problem(age.span(), format!("an age lies between {} and {} years", AGES.start(), AGES.end()));
        None
    }

    fn offline_limit(&mut self, text: &Spanned<String>) -> Option<Duration> {
        match humantime::parse_duration(text.get_ref()) {
            Ok(limit) if OFFLINE_LIMITS.contains(&limit) => Some(limit),
            Ok(_) => {
                self.problem(text.span(), "an offline limit lies between 1m and 400d");
                None
            }
            Err(_) => {
                self.problem(text.span(), "write a duration, like \"7d\" or \"12h\"");
                None
            }
        }
    }

    fn officers(&mut self, rule: Option<&Spanned<String>>) -> Officers {
        let Some(rule) = rule else { return Officers::default() };
        match rule.get_ref().as_str() {
            "listed" => Officers::Listed,
            "vouched" => Officers::Vouched,
            other => {
                self.problem(rule.span(), unknown("rule", other, ["listed", "vouched"].into_iter()));
                Officers::default()
            }
        }
    }

    fn withhold(&mut self, table: &WithholdTable) -> Option<Withhold> {
        let legal_basis = table.legal_basis.get_ref().trim().to_owned();
        if legal_basis.is_empty() {
            self.problem(table.legal_basis.span(), "name the provision that lets accesses be withheld");
        }
        Some(Withhold { legal_basis, until: self.day(&table.until)? })
    }

    fn quota(&mut self, table: &QuotaTable) -> Quota {
        for limit in [&table.per_second, &table.per_day].into_iter().flatten() {
            if *limit.get_ref() == 0 {
                self.problem(limit.span(), "a quota of 0 allows nothing; leave it out for no limit");
            }
        }
        let value = |limit: &Option<Spanned<u32>>| limit.as_ref().map(|limit| *limit.get_ref());
        Quota { per_second: value(&table.per_second), per_day: value(&table.per_day) }
    }
}

/// Whether a text can be the code of a purpose.
pub(crate) fn is_purpose(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Names what nothing is called, and what is called nearly so.
pub(crate) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    // A name may have ends of lines, and a problem is one line.
    let shown = name.escape_debug();
    match nearest(name, known) {
        Some(near) => format!("no {kind} is called \"{shown}\"; did you mean \"{near}\"?"),
        None => format!("no {kind} is called \"{shown}\""),
    }
}

/// Adds the nearest known key to serde's word on an unknown one.
pub(crate) fn with_nearest_key(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((key, known)) if message.starts_with("unknown field") => {
            unknown("key", key, known.iter().copied())
        }
        _ => message.to_owned(),
    }
}

/// The known name that takes the fewest edits to reach, if few enough.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = known.map(|other| (edits(name, other), other)).min()?;
    (ranked.0 <= name.len().max(3) / 3).then_some(ranked.1)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
