//! Joining: a one-time token becomes an identity.

use std::path::Path;

use dancu_proto::{
    channel::{
        ConnectError, Fingerprint, HUB_SERVER_NAME, IdentityError, PinnedAuthority, RequestError,
        SigningRequest, SwappableIdentity, Timeouts, Token, TokenError, client_config, config::ConfigError,
        connect, identity::roots, pinned_client_config,
    },
    hub::v1::{EnrollRequest, enrollment_service_client::EnrollmentServiceClient},
};
use rustls::pki_types::CertificateDer;
use tonic::{Request, Status};

use super::{
    NodeIdentity, NodeIdentityError, checked,
    store::{IdentityStore, Settings, StoreError, Stored, pem},
};

/// The node does not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is not one.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The node has an identity, or its files fail.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key cannot be made.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Another hub answers, or someone in between.
    #[error(
        "this is not the hub the token was made for: {url} is of another authority; check the address \
         with the hub's operator before trying again"
    )]
    WrongAuthority {
        /// Where.
        url: String,
    },
    /// The hub does not answer.
    #[error("the hub at {url} cannot be reached: {source}; the token is unused, try again")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: ConnectError,
    },
    /// The address is not one.
    #[error(transparent)]
    Address(ConnectError),
    /// The connection broke after the token was sent.
    #[error(
        "the connection to the hub broke before it answered: {0}; try again, and if the token counts as \
         used, ask the hub's operator for a new one"
    )]
    Broken(ConnectError),
    /// The hub says no; its message says why and what to do.
    #[error("the hub refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// The hub's answer does not fit the request.
    #[error("the hub's answer is not usable: {0}; ask its operator for a new token")]
    Answer(String),
    /// What was stored cannot be loaded.
    #[error(transparent)]
    Identity(#[from] NodeIdentityError),
}

fn answer(error: impl std::fmt::Display) -> JoinError {
    JoinError::Answer(error.to_string())
}

/// Joins the hub at `https://host:port` with a token. The key is made here and stays here. An
/// identity that the node has already is replaced only with `force`.
///
/// # Errors
/// The token is not one or not good, another hub answers or none, the files fail.
pub async fn join(data: &Path, hub_url: &str, token: &str, force: bool) -> Result<NodeIdentity, JoinError> {
    let token = Token::parse(token)?;
    let store = IdentityStore::of(data);
    if let Some(name) = store.joined()?
        && !force
    {
        return Err(StoreError::Joined { name }.into());
    }
    let request = SigningRequest::new(&token.node)?;
    let timeouts = Timeouts::default();
    let config = pinned_client_config(PinnedAuthority::new(token.authority)).map_err(answer)?;
    let refused = |error| match error {
        ConnectError::WrongAuthority => JoinError::WrongAuthority { url: hub_url.to_owned() },
        ConnectError::Address(_) => JoinError::Address(error),
        source => JoinError::Unreachable { url: hub_url.to_owned(), source },
    };
    let channel = connect(hub_url, config, HUB_SERVER_NAME, &timeouts).await.map_err(refused)?;
    let mut call =
        Request::new(EnrollRequest { token_secret: token.secret.to_vec(), csr: request.csr.clone() });
    call.set_timeout(timeouts.connect * 4);
    let response = match EnrollmentServiceClient::new(channel).enroll(call).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            return Err(match ConnectError::of(&status) {
                Some(error) => JoinError::Broken(error),
                None => JoinError::Refused(Box::new(status)),
            });
        }
    };

    let certificate = CertificateDer::from(response.certificate);
    let authority = CertificateDer::from(response.authority);
    if response.node != token.node {
        return Err(answer("it is for another node"));
    }
    if Fingerprint::of_certificate(&authority) != Some(token.authority) {
        return Err(JoinError::WrongAuthority { url: hub_url.to_owned() });
    }
    usable(&certificate, &authority, &token.node, &request)?;
    store.create(&Stored {
        settings: Settings { name: response.node, agency: response.agency, hub: hub_url.to_owned() },
        key: request.key_pem(),
        certificate: pem(&[certificate]),
        authorities: vec![authority],
    })?;
    Ok(NodeIdentity::load(data)?)
}

/// What is stored must be good for the next connection, or a node would find out when it is too late
/// to say which answer was wrong.
fn usable(
    certificate: &CertificateDer<'static>,
    authority: &CertificateDer<'static>,
    name: &str,
    request: &SigningRequest,
) -> Result<(), JoinError> {
    checked(certificate, name).map_err(answer)?;
    let identity = SwappableIdentity::new(vec![certificate.clone()], request.key())
        .map_err(|error: IdentityError| answer(error))?;
    let roots = roots([authority]).map_err(answer)?;
    client_config(roots, Some(identity)).map_err(|error: ConfigError| answer(error))?;
    Ok(())
}
