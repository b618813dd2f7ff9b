//! What procedures ask of look-ups: whether a purpose may be used for them, and the values that a form can
//! be filled with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dancu_proto::{
    Field, FieldPath, FieldSet, PersonalId,
    channel::Peer,
    v1::{AccessContext, Form, FormField, Freshness, PrefilledValue},
};
use tonic::{Request, Status};

use super::{
    authorise::{Operation, authorise},
    context::Asked,
    freshness::freshness,
    refusal::Refusal,
    service::Lookup,
};
use crate::{access_log::Entry, callers::Caller};

/// Whoever takes part in a case hands in; whoever follows one does anything.
const FOLLOWING: [Operation; 5] =
    [Operation::Contribute, Operation::Lookup, Operation::Verify, Operation::Watch, Operation::Reconcile];

/// A call about procedures, of a caller who is bound to its purpose.
pub(crate) struct AboutProcedures {
    caller: Arc<Caller>,
    asked: Asked,
    patience: Duration,
}

/// A form as far as it is filled.
pub(crate) struct Filled {
    pub(crate) values: Vec<PrefilledValue>,
    pub(crate) missing: Vec<FormField>,
    /// What is told of whom.
    pub(crate) told: Vec<(PersonalId, FieldSet)>,
    pub(crate) freshness: Freshness,
}

impl Lookup {
    /// Whether whoever is at the other end may call at all.
    pub(crate) fn knows<T>(&self, request: &Request<T>) -> Result<(), Status> {
        Ok(self.caller(&Peer::of(request)).map(drop)?)
    }

    /// Who calls, and what for.
    pub(crate) fn about_procedures<T>(
        &self,
        request: &Request<T>,
        context: Option<&AccessContext>,
        entry: &mut Entry,
    ) -> Result<AboutProcedures, Status> {
        let call = self.admit(request, entry)?;
        let asked = self.asked(context, &call.caller)?;
        Ok(AboutProcedures { caller: call.caller, asked, patience: call.patience })
    }

    /// Whether tasks may be seen under the purpose, or, to follow, how cases stand; how fresh that is, and which
    /// fields are given.
    pub(crate) async fn agreed(
        &self,
        call: &AboutProcedures,
        following: bool,
    ) -> Result<(Freshness, FieldSet), Refusal> {
        let operations = if following { &FOLLOWING[..] } else { &FOLLOWING[..1] };
        self.read(call.patience, |reader, line| {
            let state = reader.state();
            let mut permits =
                operations.iter().map(|operation| authorise(state, &call.asked, *operation, line.offline));
            let first = permits.next().unwrap_or(Err(Refusal::NoAgreement));
            let permit = first.or_else(|refusal| permits.find(Result::is_ok).unwrap_or(Err(refusal)))?;
            Ok((freshness(state.cursor, line.last_heard, line.offline), permit.fields()))
        })
        .await
    }

    /// Fills a form with what the agreements for the purpose give of people.
    pub(crate) async fn fill(
        &self,
        call: &AboutProcedures,
        form: &Form,
        persons: &BTreeMap<String, PersonalId>,
    ) -> Result<Filled, Refusal> {
        self.read(call.patience, |reader, line| {
            let state = reader.state();
            let permit = authorise(state, &call.asked, Operation::Lookup, line.offline)?;
            self.spend(&permit, &call.caller, persons.len() as u64)?;
            let freshness = freshness(state.cursor, line.last_heard, line.offline);
            let mut known = BTreeMap::new();
            for (role, id) in persons {
                // Who is unknown, or not for this purpose, leaves fields to be asked: the two look the same.
                let Some((held, fields)) = reader.see(*id, |held| permit.fields_for(held))? else { continue };
                let person = Known {
                    citizen: held.record.decode()?,
                    in_question: held.record.in_question(),
                    fields,
                    told: [Field::PersonalId].into_iter().collect(),
                };
                known.insert(role.as_str(), (*id, person));
            }
            let (mut values, mut missing) = (Vec::new(), Vec::new());
            for field in &form.fields {
                let person = known.get_mut(field.role.as_str()).map(|(_, person)| person);
                let path = field.from.parse::<FieldPath>().ok();
                let value = person.zip(path).and_then(|(person, path)| {
                    if !person.fields.contains(path.field) {
                        return None;
                    }
                    let value = path.show(&person.citizen, state.areas())?;
                    person.told.insert(path.field);
                    Some((value, person.in_question.contains(path.field)))
                });
                let Some((value, in_question)) = value else {
                    missing.push(field.clone());
                    continue;
                };
                values.push(PrefilledValue {
                    name: field.name.clone(),
                    label: field.label.clone(),
                    value,
                    source: format!("{}: {}", field.role, field.from),
                    as_of: freshness.as_of,
                    revision: freshness.revision,
                    in_question,
                });
            }
            let told = known.into_values().map(|(id, person)| (id, person.told)).collect();
            Ok(Filled { values, missing, told, freshness })
        })
        .await
    }
}

/// Somebody whom a form is about.
struct Known {
    citizen: dancu_proto::v1::Citizen,
    in_question: FieldSet,
    /// What may be told.
    fields: FieldSet,
    /// What is told.
    told: FieldSet,
}
