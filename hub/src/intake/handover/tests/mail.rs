//! The mail of a node, as far as its window goes.

use dancu_proto::{
    hub::v1::{OutboxStanding, mail::Content as Letter, submit_contributions_response::Response as Answer},
    signed::Verifier,
    v1::CaseStatus,
};

use super::*;
use crate::{
    audit::AuditLog,
    enrollment::HubCertificate,
    intake::handover::{Conversation, Handover, Window},
    mail,
};

const NODE: &str = "node";
const WINDOW: Window = Window { together: 2, under_way: 4 };

/// A hub without people.
struct Hub {
    // Before the directory.
    handover: Handover,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Hub {
    fn open() -> Hub {
        let dir = tempfile::tempdir().unwrap();
        Registry::create(dir.path(), &Areas::shipped().in_force().to_message()).unwrap();
        let registry = Registry::open(dir.path(), 0, Arc::new(Router::default()), Arc::new(|| NOW)).unwrap();
        let registry = Arc::new(registry);
        let signs = enrollment::Authority::create(&dir.path().join("authority"), NOW).unwrap();
        let signs = Arc::new(signs);
        let rows = Arc::new(RollRows(Arc::clone(registry.store())));
        let lifetime = Duration::from_secs(3600);
        let roll = Arc::new(NodeRoll::open(Arc::clone(&signs), rows, lifetime).unwrap());
        let ledger = Arc::new(Ledger::new(registry.first_order().unwrap()));
        let office =
            procedures::Office::load(None, None, &registry, Arc::clone(&ledger), Arc::clone(&roll)).unwrap();
        let certificate = HubCertificate::issue(Arc::clone(&signs), Vec::new(), lifetime, NOW).unwrap();
        let handover = Handover {
            ledger,
            roll,
            office: Arc::new(office),
            authority: Arc::new(Authority::load(None).unwrap()),
            verifier: Arc::new(Verifier::new(signs.certificate().clone())),
            log: Arc::new(AuditLog::open(dir.path(), 0, Arc::clone(&registry)).unwrap()),
            identity: certificate.identity(),
            bells: Arc::default(),
            clock: Arc::new(|| NOW),
            registry,
        };
        Hub { handover, runtime: tokio::runtime::Runtime::new().unwrap(), _dir: dir }
    }

    /// A case is in a state.
    fn post(&self, node: &'static str, case: u32, state: u32) {
        let by = Arc::new(move |standing: &Standing<'_>| {
            let mut rows = Rows::new(standing);
            let status = CaseStatus { case_id: format!("{case}: {state}"), ..CaseStatus::default() };
            mail::put(&mut rows, node, &format!("case {case}"), Letter::Case(status))?;
            Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
        });
        let content = Content::Decided(Decide { alone: false, by });
        let commit = Commit { origin: Origin::default(), content };
        self.runtime.block_on(self.handover.registry.commit(commit)).unwrap();
    }

    fn begin(&self, mail_after: u64, no_mail: bool) -> Conversation {
        let begin = OutboxStanding { outbox: vec![1; 16], mail_after, no_mail, ..OutboxStanding::default() };
        let begun = self.runtime.block_on(Conversation::begin(&self.handover, NODE, begin, WINDOW));
        let (conversation, answer) = begun.unwrap();
        assert!(matches!(answer, Answer::Standing(_)));
        conversation
    }

    /// The next message of mail: numbers, and what is said.
    fn mail(&self, conversation: &mut Conversation) -> Option<Vec<(u64, String)>> {
        let answer = conversation.mail(&self.handover).unwrap()?;
        let Answer::Mail(batch) = answer else { panic!("it is mail") };
        let said = batch.mail.into_iter().map(|mail| {
            let Some(Letter::Case(case)) = mail.content else { panic!("it is a case") };
            (mail.number, case.case_id)
        });
        Some(said.collect())
    }

    fn numbers(&self, conversation: &mut Conversation) -> Option<Vec<u64>> {
        Some(self.mail(conversation)?.into_iter().map(|(number, _)| number).collect())
    }
}

#[test]
fn mail_goes_as_far_as_the_window_and_on_when_the_node_has_it() {
    let hub = Hub::open();
    (1..=10).for_each(|case| hub.post(NODE, case, 0));
    hub.post("node-1", 1, 0);
    let mut line = hub.begin(0, false);
    let mut next = || hub.numbers(&mut line);
    assert_eq!((next(), next(), next()), (Some(vec![1, 2]), Some(vec![3, 4]), None));
    line.received(2);
    let mut next = || hub.numbers(&mut line);
    assert_eq!((next(), next()), (Some(vec![5, 6]), None));
    // What was said before says nothing new.
    line.received(1);
    assert_eq!(hub.numbers(&mut line), None);
    line.received(6);
    let mut next = || hub.numbers(&mut line);
    assert_eq!((next(), next(), next()), (Some(vec![7, 8]), Some(vec![9, 10]), None));
    // With a new line it goes on after what the node has, and what was under way comes again.
    let mut line = hub.begin(7, false);
    let mut next = || hub.numbers(&mut line);
    assert_eq!((next(), next(), next()), (Some(vec![8, 9]), Some(vec![10]), None));
    line.received(10);
    assert_eq!(hub.numbers(&mut line), None);
    hub.post(NODE, 11, 0);
    assert_eq!(hub.numbers(&mut line), Some(vec![11]));
}

#[test]
fn a_thing_is_in_the_mail_once_as_it_stands_now() {
    let hub = Hub::open();
    hub.post(NODE, 1, 1);
    hub.post(NODE, 2, 1);
    hub.post(NODE, 1, 2);
    hub.post(NODE, 1, 3);
    let mut line = hub.begin(0, false);
    assert_eq!(hub.mail(&mut line), Some(vec![(2, "2: 1".into()), (4, "1: 3".into())]));
    line.received(4);
    hub.post(NODE, 2, 2);
    assert_eq!(hub.mail(&mut line), Some(vec![(5, "2: 2".into())]));
    // Whoever was away gets little.
    let mut line = hub.begin(0, false);
    assert_eq!(hub.mail(&mut line), Some(vec![(4, "1: 3".into()), (5, "2: 2".into())]));
}

#[test]
fn a_node_that_cannot_keep_mail_gets_none() {
    let hub = Hub::open();
    hub.post(NODE, 1, 0);
    let mut line = hub.begin(0, true);
    assert_eq!(hub.numbers(&mut line), None);
}

#[test]
fn an_outbox_is_known_by_sixteen_bytes() {
    let hub = Hub::open();
    let begin = OutboxStanding { outbox: vec![1; 15], ..OutboxStanding::default() };
    let begun = hub.runtime.block_on(Conversation::begin(&hub.handover, NODE, begin, WINDOW));
    assert_eq!(begun.unwrap_err().code(), tonic::Code::InvalidArgument);
}
