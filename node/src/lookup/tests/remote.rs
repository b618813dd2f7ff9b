//! Look-ups outside the slice, with a hub that says what it was asked.

use std::sync::{Arc, Mutex};

use dancu_proto::{
    Field, Reason,
    hub::v1::{
        LookUpCitizenRequest, LookUpCitizenResponse,
        lookup_service_server::{LookupService, LookupServiceServer},
    },
    node::v1::{GetCitizenRequest, GetCitizenResponse},
    v1::{AccessOperation, Citizen, LogRecord, SubjectOutcome, log_record::Body},
};
use prost::Message;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Endpoint, Server},
};

use super::fixture::{AN, BINH, Served, UNKNOWN, an, binh, grant, put, slice, why};
use crate::sync::ConnectFuture;

/// Knows Bình, and nobody else.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Vec<LookUpCitizenRequest>>>);

#[tonic::async_trait]
impl LookupService for Hub {
    async fn look_up_citizen(
        &self,
        request: Request<LookUpCitizenRequest>,
    ) -> Result<Response<LookUpCitizenResponse>, Status> {
        let request = request.into_inner();
        self.0.lock().unwrap().push(request.clone());
        if request.personal_id != BINH {
            return Err(Reason::CitizenNotFound.status("in the words of the hub"));
        }
        let citizen = Citizen { personal_id: BINH.into(), sex: "1".into(), ..Citizen::default() };
        let authorised = vec![Field::PersonalId, Field::Sex];
        let authorised = authorised.into_iter().map(|field| dancu_proto::v1::Field::from(field).into());
        Ok(Response::new(LookUpCitizenResponse {
            citizen: Some(citizen),
            authorised: authorised.collect(),
            former_number: false,
            revision: 77,
        }))
    }
}

/// Serves a hub at an address, apart, so that it can be ended with all its connections.
async fn serve(hub: Hub, address: &str) -> (String, Runtime) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let listener = listener.into_std().unwrap();
    let apart = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    apart.spawn(async move {
        let listener = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
        let server = Server::builder().add_service(LookupServiceServer::new(hub));
        server.serve_with_incoming(listener).await.unwrap();
    });
    (address, apart)
}

async fn node(address: &str) -> Served {
    let url = format!("http://{address}");
    let connect = move || -> ConnectFuture {
        let url = url.clone();
        Box::pin(async move { Ok(Endpoint::from_shared(url)?.connect().await?) })
    };
    let grants = vec![
        grant(1, "a", &["lookup", "remote_lookup"], &[Field::Sex]),
        grant(2, "b", &["lookup"], &[Field::Sex]),
        grant(3, "c", &["remote_lookup"], &[Field::Sex]),
    ];
    let people = vec![put(&an(), &[1, 2]), put(&binh(), &[2])];
    Served::beside(connect, &["*"], None, |directory| slice(directory, grants, people)).await
}

async fn get(node: &Served, purpose: &str, id: &str, remote: bool) -> Result<GetCitizenResponse, Status> {
    let request = GetCitizenRequest { context: why(purpose), personal_id: id.into(), fields: vec![], remote };
    node.client().await.get_citizen(request).await.map(Response::into_inner)
}

#[tokio::test]
async fn the_hub_is_asked_only_about_those_who_are_not_here_and_only_where_that_is_agreed() {
    let hub = Hub::default();
    let (address, apart) = serve(hub.clone(), "127.0.0.1:0").await;
    let node = node(&address).await;
    let asked = || hub.0.lock().unwrap().len();
    // Here.
    assert!(!get(&node, "a", AN, true).await.unwrap().remote);
    assert_eq!(asked(), 0);
    // Held for another purpose, which is the same as not here.
    let answer = get(&node, "a", BINH, true).await.unwrap();
    assert!(answer.remote);
    assert_eq!((answer.citizen.unwrap().sex.as_str(), answer.freshness.unwrap().revision), ("1", 77));
    let request = hub.0.lock().unwrap()[0].clone();
    assert_eq!((request.context, request.personal_id.as_str()), (why("a"), BINH));
    // Not asked for; not agreed, whether the person is here or not.
    assert_eq!(Reason::of(&get(&node, "a", BINH, false).await.unwrap_err()), Some(Reason::CitizenNotFound));
    for id in [AN, UNKNOWN] {
        let refused = get(&node, "b", id, true).await.unwrap_err();
        assert_eq!(Reason::of(&refused), Some(Reason::OperationNotAgreed));
    }
    assert_eq!(asked(), 1);
    // An agreement may give nothing but this.
    assert!(get(&node, "c", BINH, true).await.unwrap().remote);
    let refused = get(&node, "c", BINH, false).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::OperationNotAgreed));
    // Nobody is the same answer, whoever gives it.
    let bytes = |status: Status| (status.code(), status.message().to_owned(), status.details().to_vec());
    let there = bytes(get(&node, "a", UNKNOWN, true).await.unwrap_err());
    assert_eq!(there, bytes(get(&node, "a", UNKNOWN, false).await.unwrap_err()));
    // What the hub told is recorded, and not kept.
    assert_eq!(Reason::of(&get(&node, "a", BINH, false).await.unwrap_err()), Some(Reason::CitizenNotFound));
    let records = node.log.after(0, usize::MAX).unwrap();
    let record = LogRecord::decode(&records[2][..]).unwrap();
    let Some(Body::Access(entry)) = record.body else { panic!("{record:?}") };
    assert_eq!((entry.operation(), entry.revision), (AccessOperation::Remote, 77));
    let sex = vec![Field::PersonalId, Field::Sex].into_iter().map(dancu_proto::v1::Field::from);
    assert_eq!(entry.subjects[0].fields, sex.map(i32::from).collect::<Vec<_>>());
    assert_eq!(entry.subjects[0].outcome(), SubjectOutcome::Answered);
    apart.shutdown_background();
}

#[tokio::test]
async fn without_the_hub_the_answer_says_so_and_with_another_it_is_found_again() {
    let hub = Hub::default();
    let (address, apart) = serve(hub.clone(), "127.0.0.1:0").await;
    let node = node(&address).await;
    assert!(get(&node, "a", BINH, true).await.is_ok());
    apart.shutdown_background();
    let refused = get(&node, "a", BINH, true).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::HubUnreachable));
    let (_, apart) = serve(hub, &address).await;
    assert!(get(&node, "a", BINH, true).await.is_ok());
    apart.shutdown_background();
}
