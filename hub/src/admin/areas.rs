//! Operators and the administrative order: mergers and new names, with a preview of what becomes of
//! the agreements.

use dancu_proto::{
    Areas, CommuneCode, ProvinceCode, Reason, Revision,
    area::{Division, files},
    hub::v1::{
        AreaInOrder, ChangeAreasRequest, ChangeAreasResponse, FollowingAgreement, GetAreaResponse, OrderSize,
        change_areas_request::Change,
    },
    v1::AreaChange,
};
use tonic::Status;

use super::{Admin, blocking};
use crate::{
    agreements::{AreaScope, scope_in_words},
    calendar::today,
    projection::{AgreementState, partitions_named},
    registry::{AreaUpdate, Commit, Content, Origin, Partition, View},
};

/// What a change leads to.
struct Outcome {
    change: AreaChange,
    before: std::sync::Arc<Areas>,
    after: Areas,
    policy: Revision,
    head: Revision,
}

impl Admin {
    pub(super) async fn change_order(
        &self,
        operator: String,
        request: ChangeAreasRequest,
    ) -> Result<ChangeAreasResponse, Status> {
        let outcome = self.outcome(&request)?;
        if request.policy != 0 && request.policy != outcome.policy.0 {
            return Err(Reason::Conflict.status(
                "agreements, the day or areas have changed since the preview; look at a new one first",
            ));
        }
        let (admin, count) = (self.clone(), request.count);
        let (outcome, mut response) = blocking(move || {
            let response = admin.preview(&outcome, count)?;
            Ok((outcome, response))
        })
        .await?;
        if request.preview {
            return Ok(response);
        }
        let origin = Origin {
            source: format!("operator {operator}"),
            reason: "change of the administrative order".into(),
            document_number: request.document,
            effective_date: outcome.change.from,
            ..Origin::default()
        };
        let update = AreaUpdate { change: outcome.change, policy: outcome.policy };
        let committed = self.registry.commit(Commit { origin, content: Content::Areas(update) }).await?;
        tracing::warn!(operator, revision = committed.revision.0, "the administrative order is changed");
        response.revision = committed.revision.0;
        Ok(response)
    }

    /// Reads the files of a change and checks it against the order in force.
    fn outcome(&self, request: &ChangeAreasRequest) -> Result<Outcome, Status> {
        let fault =
            |field: &str, error: files::FileError| Reason::InvalidRequest.field(field, error.to_string());
        let change = match &request.change {
            Some(Change::Merger(merger)) => {
                let successions = files::merger(&merger.successions).map_err(|e| fault("successions", e))?;
                AreaChange { successions, ..files::units(&merger.units).map_err(|e| fault("units", e))? }
            }
            Some(Change::Names(names)) => files::names(names).map_err(|e| fault("names", e))?,
            None => return Err(Reason::InvalidRequest.field("change", "is missing")),
        };
        let Some(from) = request.from else {
            return Err(Reason::InvalidRequest.field("from", "is missing: say from which day it holds"));
        };
        from.check().map_err(|error| Reason::InvalidRequest.field("from", error.to_string()))?;
        if from.day == 0 || from.as_number() > today(&self.clock).as_number() {
            let reason = "is a day that has begun: a change takes effect when it is entered";
            return Err(Reason::InvalidRequest.field("from", reason));
        }
        if request.document.trim().is_empty() {
            return Err(Reason::InvalidRequest.field("document", "is missing: name what orders the change"));
        }
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let (head, policy) = (view.revision()?, view.policy_revision()?);
        let before = self.ledger.areas(head);
        let change = AreaChange { from: Some(from), document: request.document.clone(), ..change };
        let after =
            before.after(&change).map_err(|e| Reason::InvalidRequest.field("change", e.to_string()))?;
        Ok(Outcome { change, before, after, policy, head })
    }

    fn preview(&self, outcome: &Outcome, count: bool) -> Result<ChangeAreasResponse, Status> {
        let view = self.registry.view();
        let residents = |partitions: &[Partition]| -> Result<u64, Status> {
            if count { residents(&view, partitions) } else { Ok(0) }
        };
        let (before, after) = (&outcome.before, &outcome.after);
        let divided = outcome.change.successions.iter().filter(|succession| !succession.parts.is_empty());
        let divided: Vec<_> = divided.filter_map(|one| CommuneCode::from_number(one.commune)).collect();
        let of_divided: Vec<_> = divided.iter().flat_map(|code| before.communes_in(*code)).copied().collect();
        let of_divided: Vec<_> = of_divided.into_iter().map(Partition::Commune).collect();
        let mut agreements = Vec::new();
        for state in self.ledger.agreements(outcome.head) {
            let named = [partitions_named(&state, before), partitions_named(&state, after)];
            if state.withdrawn.is_some() || named[0].is_empty() {
                continue;
            }
            let [words_before, words_after] = [before.as_ref(), after].map(|areas| words(&state, areas));
            let following = FollowingAgreement {
                agreement: state.agreement.id.to_string(),
                agency: state.agreement.agency.to_string(),
                residents_before: residents(&named[0])?,
                residents_after: residents(&named[1])?,
                not_followed: not_followed(&state, before, after),
                before: words_before,
                after: words_after,
            };
            let same = following.before == following.after
                && following.residents_before == following.residents_after
                && following.not_followed.is_empty();
            if !same {
                agreements.push(following);
            }
        }
        let renamed = if outcome.change.successions.is_empty() {
            outcome.change.provinces.len() + outcome.change.communes.len()
        } else {
            0
        };
        Ok(ChangeAreasResponse {
            policy: outcome.policy.0,
            before: Some(size(before.in_force())),
            after: Some(size(after.in_force())),
            divided: divided.len() as u32,
            residents_of_divided: residents(&of_divided)?,
            renamed: renamed as u32,
            agreements,
            revision: 0,
        })
    }

    pub(super) fn area(&self, code: &str) -> Result<GetAreaResponse, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let areas = self.ledger.areas(view.revision()?);
        let found = match (code.parse::<ProvinceCode>(), code.parse::<CommuneCode>()) {
            (Ok(province), _) => provinces(&areas, province),
            (_, Ok(commune)) => communes(&areas, commune),
            _ => return Err(Reason::InvalidRequest.field("code", "is two digits, or five")),
        };
        let mut orders = Vec::new();
        for (mut area, partitions) in found {
            if area.division == areas.number() {
                area.residents = residents(&view, &partitions)?;
            }
            orders.push(area);
        }
        if orders.is_empty() {
            return Err(Reason::NotFound.status(format!("there is and was no area with the code {code}")));
        }
        Ok(GetAreaResponse { orders })
    }
}

fn residents(view: &View<'_>, partitions: &[Partition]) -> Result<u64, Status> {
    Ok(view.members_after(partitions, None).try_fold(0, |count, key| key.map(|_| count + 1))?)
}

fn size(order: &Division) -> OrderSize {
    OrderSize { provinces: order.provinces().len() as u32, communes: order.communes() as u32 }
}

/// An agreement's scope by the order in force, whatever order it was written by.
fn words(state: &AgreementState, areas: &Areas) -> String {
    scope_in_words(&state.agreement.scope.followed(state.written_under, areas), areas.in_force())
}

/// The communes that took parts of those an agreement names, and that it does not follow.
fn not_followed(state: &AgreementState, before: &Areas, after: &Areas) -> Vec<String> {
    let followed = |areas| match state.agreement.scope.followed(state.written_under, areas).areas {
        AreaScope::Listed { communes, .. } => communes,
        AreaScope::Nation | AreaScope::Interest => Default::default(),
    };
    if before.number() == after.number() {
        return Vec::new();
    }
    let kept = followed(after);
    let successions = followed(before).into_iter().map(|code| code.under(before.number()));
    let parts = successions.filter_map(|commune| after.succession(commune)).flat_map(|one| &one.parts);
    parts.filter(|part| !kept.contains(part)).map(|part| commune_name(after.in_force(), *part)).collect()
}

fn commune_name(order: &Division, code: CommuneCode) -> String {
    order.commune(code).map_or_else(|| code.to_string(), |commune| format!("{} ({code})", commune.name))
}

fn province_name(order: &Division, code: ProvinceCode) -> String {
    order.province(code).map_or_else(|| code.to_string(), |name| format!("{name} ({code})"))
}

type Found = Vec<(AreaInOrder, Vec<Partition>)>;

fn provinces(areas: &Areas, code: ProvinceCode) -> Found {
    let order = |order: &Division| {
        let name = order.province(code)?;
        let now = areas.province_now(code.under(order.number));
        let in_force = order.number == areas.number();
        let made_of = areas.provinces_in(code);
        let area = AreaInOrder {
            division: order.number,
            from: Some(order.from),
            name: name.to_owned(),
            lies_in: now
                .filter(|_| !in_force)
                .map_or(String::new(), |now| province_name(areas.in_force(), now)),
            made_of: made_of
                .iter()
                .filter(|_| in_force)
                .filter(|province| province.division() != areas.number())
                .filter_map(|one| Some(province_name(areas.division(one.division())?, one.code())))
                .collect(),
            ..AreaInOrder::default()
        };
        Some((area, made_of.iter().copied().map(Partition::Province).collect()))
    };
    areas.latest_first().filter_map(order).collect()
}

fn communes(areas: &Areas, code: CommuneCode) -> Found {
    let order = |order: &Division| {
        let commune = order.commune(code)?;
        let now = areas.commune_now(code.under(order.number));
        let in_force = order.number == areas.number();
        let made_of = areas.communes_in(code);
        let parts = areas.succession(code.under(order.number)).map_or(&[][..], |one| &one.parts);
        let area = AreaInOrder {
            division: order.number,
            from: Some(order.from),
            name: commune.name.clone(),
            province: province_name(order, commune.province),
            lies_in: now
                .filter(|_| !in_force)
                .map_or(String::new(), |now| commune_name(areas.in_force(), now)),
            parts: parts.iter().map(|part| commune_name(areas.in_force(), *part)).collect(),
            made_of: made_of
                .iter()
                .filter(|_| in_force)
                .filter(|commune| commune.division() != areas.number())
                .filter_map(|one| Some(commune_name(areas.division(one.division())?, one.code())))
                .collect(),
            ..AreaInOrder::default()
        };
        Some((area, made_of.iter().copied().map(Partition::Commune).collect()))
    };
    areas.latest_first().filter_map(order).collect()
}
