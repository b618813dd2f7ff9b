//! Operators and slices: what a node held, exactly, as of any revision.

use dancu_proto::{
    Digest, PersonalId, Reason, Revision,
    area::by_order_in_force,
    channel::PeerIdentity,
    hub::v1::{
        CheckSliceReportRequest, CheckSliceReportResponse, GetHeldCitizenRequest, GetHeldCitizenResponse,
        GetSliceDigestRequest, GetSliceDigestResponse, HeldUnder, PointInTime, point_in_time::Point,
    },
    signed,
    v1::SliceReport,
};
use time::OffsetDateTime;
use tonic::Status;

use super::Admin;
use crate::{
    enrollment::NodeEntry,
    projection::{Policy, SliceAt},
    registry::{StoreError, View},
};

impl Admin {
    pub(super) fn held(&self, request: &GetHeldCitizenRequest) -> Result<GetHeldCitizenResponse, Status> {
        let entry = self.roll.get(&request.node)?;
        let number: PersonalId = request
            .personal_id
            .parse()
            .map_err(|error| Reason::InvalidRequest.field("personal_id", format!("{error}")))?;
        let view = self.registry.view();
        let (at, turn, policy) = self.policy_at(&view, &entry, request.at.as_ref())?;
        let found = view.resolve(number)?;
        let (key, citizen) =
            found.ok_or_else(|| Reason::CitizenNotFound.status("no citizen has this number"))?;
        let held = SliceAt::open_for_one(&view, &self.ledger, &policy, at).held(key, &citizen)?;
        let under = |handle| policy.grants().iter().find(|grant| grant.handle == handle);
        let agreements = held.iter().flat_map(|held| held.handles().collect::<Vec<_>>()).filter_map(under);
        let agreements = agreements.map(|grant| HeldUnder {
            agreement: grant.agreement.id.to_string(),
            version: grant.agreement.version,
            fields: grant.fields.iter().map(|field| field.name().to_owned()).collect(),
        });
        let record = held.as_ref().map(|held| held.record().decode()).transpose();
        let mut record = record.map_err(|_| StoreError::Corrupt("a citizen's record"))?;
        record.iter_mut().for_each(|shown| by_order_in_force(shown, &self.ledger.areas(at)));
        Ok(GetHeldCitizenResponse {
            revision: at.0,
            policy: turn.0,
            day: self.ledger.day(at).to_string(),
            citizen: record,
            agreements: agreements.collect(),
        })
    }

    pub(super) fn slice_digest(
        &self,
        request: &GetSliceDigestRequest,
    ) -> Result<GetSliceDigestResponse, Status> {
        let entry = self.roll.get(&request.node)?;
        let view = self.registry.view();
        let (at, turn, policy) = self.policy_at(&view, &entry, request.at.as_ref())?;
        let slice = SliceAt::open(&view, &self.ledger, &policy, at)?;
        let digest: Digest = slice.digest(0, PersonalId::MAX, u64::MAX)?;
        Ok(GetSliceDigestResponse {
            revision: at.0,
            policy: turn.0,
            citizens: digest.citizens,
            digest: digest.to_bytes().to_vec(),
        })
    }

    pub(super) fn check_report(
        &self,
        request: CheckSliceReportRequest,
    ) -> Result<CheckSliceReportResponse, Status> {
        let refused = |why: String| Reason::InvalidRequest.field("report", why);
        let signed = request.report.unwrap_or_default();
        let (report, signer): (SliceReport, _) = signed::verify(&signed, self.authority.certificate())
            .map_err(|error| refused(error.to_string()))?;
        if signer != PeerIdentity::Node(report.node.clone()) {
            return Err(refused(format!("it is about {}, and {signer} signed it", report.node)));
        }
        if report.registry_id != self.registry.id() {
            return Err(refused("it is about another registry".into()));
        }
        let at = Some(PointInTime { point: Some(Point::Revision(report.cursor)) });
        let expected = self.slice_digest(&GetSliceDigestRequest { node: report.node.clone(), at })?;
        let right = (report.policy, report.citizens, &report.digest)
            == (expected.policy, expected.citizens, &expected.digest);
        Ok(CheckSliceReportResponse { report: Some(report), expected: Some(expected), right })
    }

    fn policy_at(
        &self,
        view: &View<'_>,
        entry: &NodeEntry,
        at: Option<&PointInTime>,
    ) -> Result<(Revision, Revision, Policy), Status> {
        self.ledger.catch_up(view)?;
        let head = view.revision()?;
        let at = match at.and_then(|at| at.point.as_ref()) {
            None => head,
            Some(Point::Revision(at)) if *at <= head.0 => Revision(*at),
            Some(Point::Revision(_)) => {
                return Err(Reason::InvalidRequest.field("at", format!("the latest revision is {head}")));
            }
            Some(Point::Time(time)) => {
                let time = OffsetDateTime::from_unix_timestamp(time.seconds)
                    .map_err(|_| Reason::InvalidRequest.field("at", "is not a time"))?;
                view.revision_at(time)?
            }
        };
        let policy = self.ledger.policy(&entry.name, &entry.agency, at);
        Ok((at, self.ledger.last_turn(&entry.agency, at), policy))
    }
}
