//! A node with a real slice, filled as the hub would fill it, and called over real sockets.

use std::{fs, path::Path, sync::Arc, time::Duration};

use dancu_proto::{
    Field, Record,
    channel::{Timeouts, connect_unix},
    frame,
    hub::v1::{self as wire, Change, ChangeFrame, ChangeList, GrantList, GrantMark, Load, Policy, Zone},
    node::v1::citizen_service_client::CitizenServiceClient,
    v1::{AccessContext, AccessEntry, Citizen, LogRecord, Signed, log_record::Body},
};
use prost::Message;
use rustls::crypto::{aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256, hpke::Hpke};
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::Channel;

use crate::{
    access_log::{self, LogStore},
    callers::{CallersFile, Entry, Roster},
    config::Config,
    interest::Interests,
    lease::{Keep, Lease},
    lookup::Remote,
    officers::{Officers, OfficersFile},
    outbox::{Outbox, Setup},
    procedures::Desk,
    quota::Quotas,
    serve::{self, Listeners, ServingCertificate},
    slice::{Slice, SliceKey, SliceOptions},
    state::{About, Clock, Node},
    sync::{ConnectFuture, Contact, Prover},
};

/// The time at the node.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-23 08:00 UTC);

/// How long ago the hub was last heard.
pub(crate) const OFFLINE: Duration = Duration::from_secs(3600);

pub(crate) const AN: &str = "001185001234";
pub(crate) const AN_FORMER: &str = "001185009999";
pub(crate) const BINH: &str = "001085000001";
pub(crate) const UNKNOWN: &str = "001085999999";

pub(crate) fn an() -> Citizen {
    serde_json::from_str(include_str!("../../../tests/data/full_citizen.json")).unwrap()
}

pub(crate) fn binh() -> Citizen {
    let row = format!(
        r#"{{"personal_id":"{BINH}","full_name":"Nguyễn Thị Hóa","date_of_birth":"1985","sex":"1"}}"#
    );
    serde_json::from_str(&row).unwrap()
}

/// What one agreement gives: a purpose, operations, fields, an offline limit of a day.
pub(crate) fn grant(handle: u32, purpose: &str, operations: &[&str], fields: &[Field]) -> wire::Grant {
    wire::Grant {
        handle,
        agreement: format!("agreement-{handle}"),
        version: 1,
        title: "Title".into(),
        purposes: vec![purpose.into()],
        operations: operations.iter().map(|operation| (*operation).into()).collect(),
        fields: fields.iter().copied().collect::<dancu_proto::FieldSet>().bits(),
        offline_limit: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        interest: false,
        officers_vouched: true,
        ..wire::Grant::default()
    }
}

pub(crate) fn policy(revision: u64, target: Vec<wire::Grant>) -> Policy {
    Policy {
        revision,
        target,
        zones: vec![Zone { up_to: 0, policies: vec![] }],
        registry_id: vec![7],
        cursor: revision,
        ..Policy::default()
    }
}

/// A citizen enters the slice under some agreements.
pub(crate) fn put(citizen: &Citizen, handles: &[u32]) -> Change {
    let marks = handles.iter().map(|handle| GrantMark { handle: *handle, pending: 0 }).collect();
    Change {
        personal_id: citizen.personal_id.parse().unwrap(),
        grants: Some(GrantList { marks }),
        set: Record::encode(citizen).into_bytes(),
        ..Change::default()
    }
}

pub(crate) fn changes(changes: Vec<Change>) -> Option<ChangeFrame> {
    Some(frame::pack(&ChangeList { changes }))
}

/// The rest of a load.
pub(crate) fn load(revision: u64, people: Vec<Change>) -> Load {
    Load {
        zones: vec![Zone { up_to: 0, policies: vec![revision] }],
        changes: changes(people),
        complete: true,
        remaining: 0,
        cursor: 0,
    }
}

/// What slices in tests are sealed with.
pub(crate) fn key() -> SliceKey {
    SliceKey::from_bytes(&[9; 32]).unwrap()
}

pub(crate) fn open(directory: &Path) -> Slice {
    let options = SliceOptions { cache_mb: 4, write_buffer_mb: 4, reserve_mb: 0, ..SliceOptions::default() };
    let slice = Slice::open(&directory.join("slice"), &options).unwrap();
    slice.unseal(&key()).unwrap();
    slice
}

/// A slice settled under some grants.
pub(crate) fn slice(directory: &Path, grants: Vec<wire::Grant>, people: Vec<Change>) -> Slice {
    let slice = open(directory);
    settle(&slice, grants, people);
    slice
}

/// Fills an empty slice.
pub(crate) fn settle(slice: &Slice, grants: Vec<wire::Grant>, people: Vec<Change>) {
    slice.apply_policy(policy(1, grants)).unwrap();
    slice.apply_load(load(1, people)).unwrap();
}

/// The line to the hub as a restart finds it: down since [`OFFLINE`].
pub(crate) fn contact(directory: &Path, refusal: Option<(&str, &str)>) -> Contact {
    let file = directory.join("contact.json");
    let heard = (NOW - OFFLINE).unix_timestamp();
    let kept = serde_json::json!({ "last_heard": heard, "latest": heard, "head": 9, "refusal": refusal });
    fs::write(&file, kept.to_string()).unwrap();
    Contact::open(&file).unwrap()
}

pub(crate) fn node(directory: &Path, slice: Slice, contact: Contact) -> Arc<Node> {
    let about = About {
        name: "ha-giang".into(),
        agency: "ubnd-ha-giang".into(),
        certificate_expires: Box::new(|| None),
        sign: Box::new(|_| Ok(Signed::default())),
    };
    let clock: Clock = Arc::new(|| NOW);
    let lease = Lease::open(
        slice.clone(),
        contact.clone(),
        Arc::clone(&clock),
        directory,
        &about.name,
        &Keep::Memory,
    );
    let (prover, _) = Prover::new(slice.clone(), || Box::pin(async { Err("no hub".into()) }), || NOW);
    Arc::new(Node { about, slice, contact, lease: lease.unwrap(), prover, clock })
}

/// The public key of a hub that is not there.
fn recipient() -> Vec<u8> {
    DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap().0.0
}

/// An outbox whose node has no key.
pub(crate) fn outbox(directory: &Path, slice: Slice) -> Outbox {
    let sign = |queued: &dancu_proto::v1::QueuedContribution| {
        let kind = "dancu.v1.QueuedContribution".into();
        Ok(Signed { kind, content: queued.encode_to_vec(), ..Signed::default() })
    };
    let setup = Setup {
        node: "ha-giang".into(),
        slice,
        log: None,
        sign: Box::new(sign),
        gather: Box::new(Ok),
        check: Box::new(|_| Err(dancu_proto::signed::VerifyError::Content)),
        clock: Arc::new(|| NOW),
        reserve: 0,
    };
    Outbox::open(&directory.join("outbox"), setup).unwrap()
}

/// Why a test calls.
pub(crate) fn why(purpose: &str) -> Option<AccessContext> {
    Some(AccessContext { purpose: purpose.into(), case_number: "H-1".into(), officer: "CB-7".into() })
}

/// A node being served over a Unix socket and over TLS.
pub(crate) struct Served {
    pub(crate) slice: Slice,
    pub(crate) config: Config,
    pub(crate) roster: Arc<Roster>,
    pub(crate) officers: Arc<Officers>,
    pub(crate) log: LogStore,
    pub(crate) outbox: Outbox,
    pub(crate) url: String,
    _stop: tokio_util::sync::DropGuard,
    _tasks: JoinSet<()>,
    _directory: TempDir,
}

impl Served {
    /// This test's own user may call for the purposes given.
    pub(crate) async fn start(
        purposes: &[&str],
        refusal: Option<(&str, &str)>,
        fill: impl FnOnce(&Path) -> Slice,
    ) -> Served {
        Served::beside(|| Box::pin(async { Err("no hub".into()) }), purposes, refusal, fill).await
    }

    /// The same, with a hub that can be asked.
    pub(crate) async fn beside(
        hub: impl Fn() -> ConnectFuture + Send + Sync + 'static,
        purposes: &[&str],
        refusal: Option<(&str, &str)>,
        fill: impl FnOnce(&Path) -> Slice,
    ) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let slice = fill(directory.path());
        let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
        let purposes = purposes.iter().map(|purpose| (*purpose).into()).collect();
        let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        config.listen.tcp = "127.0.0.1:0".into();
        config.listen.unix = directory.path().join("node.sock").display().to_string();
        let entry = Entry { name: "test".into(), unix_uid: Some(uid), purposes, ..Entry::default() };
        let roster = Roster::load(&[entry], CallersFile::of(&config.agency_dir())).unwrap();
        let node = node(directory.path(), slice.clone(), contact(directory.path(), refusal));
        let certificate = ServingCertificate::open(&config, OffsetDateTime::now_utc()).unwrap();
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let interests = Interests::open(&directory.path().join("interests"), slice.clone()).unwrap();
        let officers = Officers::load(OfficersFile::of(&config.agency_dir())).unwrap();
        let (log, tracker) = (LogStore::open(&directory.path().join("log"), 0).unwrap(), TaskTracker::new());
        log.set_recipient(&recipient()).unwrap();
        let sync = access_log::Sync::Interval(Duration::from_millis(100));
        let (recorder, _) =
            access_log::start(&log, "ha-giang", sync, Arc::new(|| NOW), &tracker, &cancel).unwrap();
        let procedures = Desk::open(&directory.path().join("procedures"), slice.clone()).unwrap();
        let outbox = outbox(directory.path(), slice.clone());
        outbox.set_recipient(&recipient()).unwrap();
        let (routes, health) = serve::services(serve::Served {
            node,
            roster: Arc::clone(&roster),
            officers: Arc::clone(&officers),
            quotas: Arc::new(Quotas::open(directory.path().join("quotas.json")).unwrap()),
            log: recorder,
            remote: Remote::new(hub),
            interests,
            outbox: outbox.clone(),
            procedures,
            owner: uid,
            tasks: tracker,
            cancel: cancel.clone(),
        })
        .unwrap();
        let listeners = Listeners::bind(&config, &certificate).await.unwrap();
        let url = format!("https://{}", listeners.address().unwrap());
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let serving = listeners.serve(routes, cancel.clone(), move || ready.send(()).unwrap());
        tasks.spawn(async move { serving.await.unwrap() });
        tasks.spawn(health.follow(cancel.clone()));
        is_ready.await.unwrap();
        Served {
            slice,
            config,
            roster,
            officers,
            log,
            outbox,
            url,
            _stop: cancel.drop_guard(),
            _tasks: tasks,
            _directory: directory,
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        connect_unix(self.config.listen.unix().unwrap(), &Timeouts::default()).await.unwrap()
    }

    /// What is recorded of calls.
    pub(crate) fn calls(&self) -> Vec<AccessEntry> {
        let records = self.log.after(0, usize::MAX).unwrap();
        let entry = |record: Vec<u8>| match LogRecord::decode(&record[..]).unwrap().body.unwrap() {
            Body::Access(entry) => Some(entry),
            Body::Key(_) => None,
        };
        records.into_iter().filter_map(entry).collect()
    }

    pub(crate) async fn client(&self) -> CitizenServiceClient<Channel> {
        CitizenServiceClient::new(self.channel().await)
    }
}
