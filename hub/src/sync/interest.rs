//! Interest lists: a node names people whom its agency serves, under an agreement whose scope they
//! are.

use dancu_proto::{
    PersonalId, Reason,
    hub::v1::{UpdateInterestsRequest, UpdateInterestsResponse},
};
use tonic::Status;

use crate::{
    agreements::AreaScope,
    enrollment::NodeHandle,
    projection::Ledger,
    registry::{Commit, Content, InterestUpdate, Origin, Registry},
};

/// Numbers of one request.
const NUMBERS: usize = 5_000;

/// Changes a node's list.
///
/// # Errors
/// If the node has no such agreement, or a number is none.
pub(super) async fn update(
    registry: &Registry,
    ledger: &Ledger,
    node: &NodeHandle,
    request: UpdateInterestsRequest,
) -> Result<UpdateInterestsResponse, Status> {
    let UpdateInterestsRequest { agreement, add, withdraw } = request;
    if add.len() + withdraw.len() > NUMBERS {
        return Err(Reason::InvalidRequest.field("add", format!("at most {NUMBERS} numbers in a request")));
    }
    {
        let view = registry.view();
        ledger.catch_up(&view)?;
        let policy = ledger.policy(node.name.as_ref(), node.agency.as_ref(), view.revision()?);
        let interest = policy.grants().iter().any(|grant| {
            grant.agreement.id.to_string() == agreement
                && matches!(grant.agreement.scope.areas, AreaScope::Interest)
        });
        if !interest {
            let message = format!("this node has no agreement {agreement} with an interest list in force");
            return Err(Reason::NoAgreement.status(message));
        }
    }
    let update = InterestUpdate {
        agreement,
        agency: node.agency.to_string(),
        node: node.name.to_string(),
        add: numbers("add", &add)?,
        withdraw: numbers("withdraw", &withdraw)?,
    };
    let origin = Origin { source: format!("node {}", node.name), ..Origin::default() };
    let committed = registry.commit(Commit { origin, content: Content::Interest(update) }).await?;
    Ok(UpdateInterestsResponse { revision: committed.revision.0 })
}

fn numbers(field: &str, numbers: &[u64]) -> Result<Vec<PersonalId>, Status> {
    let parse = |(position, number): (usize, &u64)| {
        PersonalId::from_u64(*number)
            .map_err(|error| Reason::InvalidRequest.field(&format!("{field}[{position}]"), error.to_string()))
    };
    numbers.iter().enumerate().map(parse).collect()
}
