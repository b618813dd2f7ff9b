//! Two nodes under the same agreements: one holds more than its caller's purpose gives, and the other
//! exactly that.

use std::{path::Path, sync::Arc, time::Duration};

use dancu_node::{
    access_log::{self, LogStore},
    callers::{CallersFile, Entry, Roster},
    interest::Interests,
    lease::{Keep, Lease},
    lookup::Remote,
    officers::{Officers, OfficersFile},
    outbox::{Outbox, Setup, Submission},
    procedures::Desk,
    quota::Quotas,
    serve,
    slice::{Slice, SliceKey, SliceOptions},
    state::{About, Clock, Node},
    sync::{Contact, Prover},
};
use dancu_proto::{
    Delta, Field, FieldSet, Record, frame,
    hub::v1::{self as wire, Change, ChangeList, Grant, GrantList, GrantMark, Load, Policy, Zone},
    node::v1::{ContributionStatus, WatchContributionsRequest},
    signed::VerifyError,
    v1::{Citizen, ContributionOutcome, ContributionState, QueuedContribution, Signed},
};
use prost::Message;
use rustls::crypto::{aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256, hpke::Hpke};
use tempfile::TempDir;
use time::{OffsetDateTime, macros::datetime};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::service::Routes;
use uuid::Uuid;

use super::{
    MARK,
    answer::Answer,
    request::{Asked, contribution},
};

/// The user who calls.
pub(super) const CALLER: u32 = 4711;
/// Who that is.
const CLERK: &str = "clerk";
/// Contributions of theirs: one waits in the outbox, and of the others the hub has said what becomes.
const HANDED_IN: &[(&str, ContributionState)] = &[
    ("01890a5d-ac96-774b-bcce-b302099a8001", ContributionState::Queued),
    ("01890a5d-ac96-774b-bcce-b302099a8002", ContributionState::Accepted),
    ("01890a5d-ac96-774b-bcce-b302099a8003", ContributionState::Rejected),
    ("01890a5d-ac96-774b-bcce-b302099a8004", ContributionState::InReview),
];
/// The purpose that the caller is bound to, beside that of an interest list.
pub(super) const PURPOSE: &str = "a";
/// What is agreed for it.
pub(super) const AGREED: &[Field] = &[
    Field::PersonalId,
    Field::FormerPersonalIds,
    Field::FullName,
    Field::DateOfBirth,
    Field::Sex,
    Field::OldIdNumber,
    Field::PermanentResidence,
];
/// What may be done for it.
const OPERATIONS: &[&str] =
    &["lookup", "verify", "reconcile", "remote_lookup", "access_report", "watch", "contribute"];
/// The time at the nodes.
const NOW: OffsetDateTime = datetime!(2026-11-23 08:00 UTC);

/// A node that can be called.
pub(super) struct Held {
    pub(super) routes: Routes,
    /// After it some things have changed.
    pub(super) cursor: String,
    outbox: Outbox,
    _stop: DropGuard,
    _directory: TempDir,
}

impl Held {
    /// With what another purpose gives too, and people whom it alone gives.
    pub(super) async fn whole() -> Held {
        let both = |citizen: Citizen| change(&citizen, FieldSet::all(), &[1, 2]);
        let people =
            vec![both(an()), change(&binh(), agreed(), &[1]), change(&hidden(), FieldSet::all(), &[2])];
        let (held, slice) = start(people);
        held.followed_from_here(&slice, FieldSet::all(), &[1, 2]).await
    }

    /// With what the caller's purpose gives.
    pub(super) async fn bare() -> Held {
        let (held, slice) = start(vec![change(&an(), agreed(), &[1]), change(&binh(), agreed(), &[1])]);
        held.followed_from_here(&slice, agreed(), &[1]).await
    }

    /// Keeps the cursor of now. What happens from here on happens in other purposes' fields too where they
    /// are held, and there to somebody whom the caller's does not give.
    async fn followed_from_here(self, slice: &Slice, fields: FieldSet, handles: &[u32]) -> Held {
        let cursor = Answer::of(&self, &Asked::to_follow()).await.cursor();
        let mut before = Record::encode(&an());
        let mut happened = Vec::new();
        let home = r#"{"permanent_residence":{"province":"01","commune":"00004","detail":"13 Hàng Bài"}}"#;
        let elsewhere = r#"{"email":"another@MARK.vn","religion":"MARK MARK"}"#;
        for (set, in_question) in [
            (home, &[Field::Sex, Field::Religion][..]),
            (elsewhere, &[Field::Sex, Field::Religion]),
            ("{}", &[Field::PermanentResidence, Field::Email]),
            ("{}", &[Field::PermanentResidence, Field::DateOfDeath]),
            ("{}", &[]),
        ] {
            let set = Delta { set: Record::encode(&citizen(set)).into_bytes(), ..Delta::default() };
            let after = before.apply(&set).unwrap().with_in_question(in_question.iter().copied().collect());
            let delta = before.project(fields).record().delta_to(after.project(fields).record());
            before = after;
            let personal_id = an().personal_id.parse().unwrap();
            let (set, cleared) = (delta.set.clone(), delta.cleared.bits());
            let told = Change { personal_id, set, cleared, ..Change::default() };
            happened.push(if delta.is_empty() { Vec::new() } else { vec![told] });
        }
        // Somebody comes and goes; and so does somebody whom the caller's purpose does not give.
        let gone = |citizen: &Citizen| {
            let personal_id = citizen.personal_id.parse().unwrap();
            Change { personal_id, drop: true, ..Change::default() }
        };
        happened.extend([vec![change(&chi(), fields, handles)], vec![gone(&chi())]]);
        let of_others = if handles.contains(&2) { vec![gone(&hidden())] } else { Vec::new() };
        let back = of_others.iter().map(|_| change(&hidden(), FieldSet::all(), &[2])).collect();
        happened.extend([of_others, back]);
        for (target, changes) in (2..).zip(happened) {
            let changes = Some(frame::pack(&ChangeList { changes }));
            let delta = wire::Delta { target, position: target, last: true, changes, ..Default::default() };
            slice.apply_delta(&delta).unwrap();
        }
        Held { cursor, ..self }
    }

    /// How many contributions one who follows some is told of before there is something to wait for; none
    /// where all come to an end, and with them the answer.
    pub(super) fn told_at_once(&self, follows: &WatchContributionsRequest) -> Option<usize> {
        let id = |text: &String| Uuid::try_parse(text).ok();
        let named: Vec<Uuid> = follows.contribution_ids.iter().filter_map(id).collect();
        let (changed, _) = self.outbox.changed(follows.after, CLERK, usize::MAX).unwrap();
        if follows.contribution_ids.is_empty() {
            return Some(changed.len());
        }
        let is_final = |status: &ContributionStatus| {
            matches!(status.state(), ContributionState::Accepted | ContributionState::Rejected)
        };
        let known = named.iter().filter_map(|id| self.outbox.status(*id, CLERK).ok());
        if known.map(|(status, _)| status).all(|status| is_final(&status)) {
            return None;
        }
        let of_those = changed
            .iter()
            .filter(|(status, _)| id(&status.contribution_id).is_some_and(|id| named.contains(&id)));
        Some(of_those.count())
    }
}

fn agreed() -> FieldSet {
    AGREED.iter().copied().collect()
}

fn citizen(json: &str) -> Citizen {
    serde_json::from_str(&json.replace("MARK", MARK)).unwrap()
}

/// Of whom the purpose gives some fields, which are in question as others are.
fn an() -> Citizen {
    let an = citizen(
        r#"{"personal_id":"001185001234","former_personal_ids":["001185009999"],"full_name":"Nguyễn Thị Hoà",
        "other_name":"MARK","date_of_birth":"1985-03-02","sex":"2","place_of_birth":{"commune":"00004",
        "detail":"MARK"},"ethnicity":"01","religion":"MARK","nationality":["VN"],"blood_type":"01",
        "old_id_number":"012345678","identity_cards":[{"issued_by":"MARK"}],"father":{"name":"Nguyễn Văn MARK",
        "personal_id":"001050000001"},"permanent_residence":{"province":"01","commune":"00004",
        "detail":"12 Hàng Bài"},"current_dwelling":{"detail":"MARK"},"temporary_absence":{"reason":"MARK"},
        "residence_file_number":"MARK","marital_status":"2","household_members":[{"name":"Lê Thị MARK"}],
        "date_of_death":"2026-01-02","mobile_number":"+84912345678","email":"mark@MARK.vn"}"#,
    );
    let in_question = [Field::Sex, Field::OldIdNumber, Field::Religion, Field::DateOfDeath, Field::Children];
    let in_question = in_question.map(|field| dancu_proto::v1::Field::from(field).into()).to_vec();
    Citizen { in_question, ..an }
}

/// Whom the purpose gives whole.
fn binh() -> Citizen {
    citizen(
        r#"{"personal_id":"001085000001","full_name":"Nguyễn Thị Hóa","date_of_birth":"1985","sex":"1",
        "old_id_number":"112345678"}"#,
    )
}

/// Who is there for a while.
fn chi() -> Citizen {
    citizen(
        r#"{"personal_id":"001190000003","full_name":"Lê Thị Chi","date_of_birth":"1990-05-06","sex":"2",
        "email":"chi@MARK.vn"}"#,
    )
}

/// Whom it does not give: somebody of the same name, and with the same old number.
fn hidden() -> Citizen {
    citizen(
        r#"{"personal_id":"001085000000","former_personal_ids":["001085007777"],"full_name":"Nguyễn Thị Hóa",
        "date_of_birth":"1985","sex":"1","old_id_number":"112345678","email":"mark@MARK.vn",
        "other_name":"MARK"}"#,
    )
}

fn change(citizen: &Citizen, fields: FieldSet, handles: &[u32]) -> Change {
    let marks = handles.iter().map(|handle| GrantMark { handle: *handle, pending: 0 }).collect();
    Change {
        personal_id: citizen.personal_id.parse().unwrap(),
        grants: Some(GrantList { marks }),
        set: Record::encode(citizen).project(fields).record().as_bytes().to_vec(),
        ..Change::default()
    }
}

fn grant(handle: u32, purpose: &str, operations: &[&str], fields: FieldSet, interest: bool) -> Grant {
    Grant {
        handle,
        agreement: format!("agreement-{handle}"),
        version: 1,
        title: "Title".into(),
        purposes: vec![purpose.into()],
        operations: operations.iter().map(|operation| (*operation).into()).collect(),
        fields: fields.bits(),
        offline_limit: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        interest,
        officers_vouched: true,
        ..Grant::default()
    }
}

fn slice(directory: &Path, mut people: Vec<Change>) -> Slice {
    people.sort_by_key(|change| change.personal_id);
    let options = SliceOptions { cache_mb: 1, write_buffer_mb: 1, reserve_mb: 0, ..SliceOptions::default() };
    let slice = Slice::open(&directory.join("slice"), &options).unwrap();
    slice.unseal(&SliceKey::from_bytes(&[9; 32]).unwrap()).unwrap();
    let target = vec![
        grant(1, PURPOSE, OPERATIONS, agreed(), false),
        grant(2, "b", OPERATIONS, FieldSet::all(), false),
        grant(3, "c", &["lookup"], agreed(), true),
    ];
    let policy = Policy {
        revision: 1,
        target,
        zones: vec![Zone { up_to: 0, policies: vec![] }],
        registry_id: vec![7],
        cursor: 1,
        ..Policy::default()
    };
    slice.apply_policy(policy).unwrap();
    let load = Load {
        zones: vec![Zone { up_to: 0, policies: vec![1] }],
        changes: Some(frame::pack(&ChangeList { changes: people })),
        complete: true,
        ..Load::default()
    };
    slice.apply_load(load).unwrap();
    slice
}

/// What was handed in, and what the hub has said of it; nobody takes more of it further.
fn outbox(directory: &Path, slice: Slice, recipient: &[u8]) -> Outbox {
    let sign = |queued: &QueuedContribution| {
        let kind = "dancu.v1.QueuedContribution".into();
        Ok(Signed { kind, content: queued.encode_to_vec(), ..Signed::default() })
    };
    let setup = Setup {
        node: "ha-giang".into(),
        slice,
        log: None,
        sign: Box::new(sign),
        gather: Box::new(Ok),
        check: Box::new(|_| Err(VerifyError::Content)),
        clock: Arc::new(|| NOW),
        reserve: 0,
    };
    let outbox = Outbox::open(&directory.join("outbox"), setup).unwrap();
    outbox.set_recipient(recipient).unwrap();
    for (place, (id, state)) in (1..).zip(HANDED_IN) {
        let submission = Submission::new(CLERK.into(), contribution(id));
        outbox.submit_all(&[submission]).remove(0).unwrap();
        let accepted = *state == ContributionState::Accepted;
        let outcome = ContributionOutcome {
            contribution_id: (*id).into(),
            node: "ha-giang".into(),
            // That of the node is another each time: it came by a file.
            outbox: vec![7; 16],
            sequence: place,
            state: (*state).into(),
            revision: if accepted { 9 } else { 0 },
            personal_id: if accepted { "001226000001".into() } else { String::new() },
            ..ContributionOutcome::default()
        };
        if *state != ContributionState::Queued {
            outbox.mail(vec![outcome], place).unwrap();
        }
    }
    outbox
}

/// A node without a hub, and its slice.
fn start(people: Vec<Change>) -> (Held, Slice) {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let slice = slice(dir, people);
    let heard = NOW.unix_timestamp() - 3600;
    let contact = serde_json::json!({ "last_heard": heard, "latest": heard, "head": 9, "refusal": null });
    std::fs::write(dir.join("contact.json"), contact.to_string()).unwrap();
    let about = About {
        name: "ha-giang".into(),
        agency: "ubnd-ha-giang".into(),
        certificate_expires: Box::new(|| None),
        sign: Box::new(|_| Ok(Signed::default())),
    };
    let (prover, _) = Prover::new(slice.clone(), || Box::pin(async { Err("no hub".into()) }), || NOW);
    let contact = Contact::open(&dir.join("contact.json")).unwrap();
    let clock: Clock = Arc::new(|| NOW);
    let lease = Lease::open(slice.clone(), contact.clone(), Arc::clone(&clock), dir, "node", &Keep::Memory);
    let node = Arc::new(Node { about, slice: slice.clone(), contact, lease: lease.unwrap(), prover, clock });
    let purposes = vec![PURPOSE.to_owned(), "c".to_owned()];
    let entry = Entry { name: CLERK.into(), unix_uid: Some(CALLER), purposes, ..Entry::default() };
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let log = LogStore::open(&dir.join("log"), 0).unwrap();
    let recipient = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap().0.0;
    log.set_recipient(&recipient).unwrap();
    let sync = access_log::Sync::Interval(Duration::from_secs(3600));
    let (log, _) = access_log::start(&log, "ha-giang", sync, Arc::new(|| NOW), &tasks, &cancel).unwrap();
    let outbox = outbox(dir, slice.clone(), &recipient);
    let served = serve::Served {
        node,
        roster: Roster::load(&[entry], CallersFile::of(dir)).unwrap(),
        officers: Officers::load(OfficersFile::of(dir)).unwrap(),
        quotas: Arc::new(Quotas::open(dir.join("quotas.json")).unwrap()),
        log,
        remote: Remote::new(|| Box::pin(async { Err("no hub".into()) })),
        procedures: Desk::open(&dir.join("procedures"), slice.clone()).unwrap(),
        interests: Interests::open(&dir.join("interests"), slice.clone()).unwrap(),
        outbox: outbox.clone(),
        owner: 0,
        tasks,
        cancel: cancel.clone(),
    };
    let (routes, _) = serve::services(served).unwrap();
    let cursor = String::new();
    (Held { routes, cursor, outbox, _stop: cancel.drop_guard(), _directory: directory }, slice)
}
