//! Time moves people: who reaches an age, and who is under an agreement that begins or ends, enters
//! or leaves slices on that day, Asia/Ho_Chi_Minh. Exactly those are sent, also by a hub that was
//! down over midnight.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use dancu_hub::{config::Config, lifecycle};
use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, Simulated, eventually, people};
use time::{Date, Duration, OffsetDateTime, macros::offset};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const CITIZENS: u32 = 20_000;

/// A hub with a clock that the test moves.
struct Clocked {
    hub: Hub,
    now: Arc<Mutex<OffsetDateTime>>,
    running: Option<(CancellationToken, JoinHandle<anyhow::Result<()>>)>,
}

impl Clocked {
    async fn start() -> Clocked {
        let mut clocked = Clocked {
            hub: Hub::prepare().await,
            now: Arc::new(Mutex::new(OffsetDateTime::now_utc())),
            running: None,
        };
        clocked.run().await;
        clocked
    }

    async fn run(&mut self) {
        let mut config = Config { data_dir: self.hub.data_dir(), ..Config::default() };
        config.listen.nodes = ([127, 0, 0, 1], self.hub.port()).into();
        config.listen.admin_socket = self.hub.socket();
        config.sync.heartbeat = std::time::Duration::from_millis(200);
        config.day_check = std::time::Duration::from_millis(50);
        let (cancel, now) = (CancellationToken::new(), Arc::clone(&self.now));
        let clock = Arc::new(move || *now.lock().unwrap());
        let task = tokio::spawn(lifecycle::run(config, clock, cancel.clone()));
        self.running = Some((cancel, task));
        self.hub.ready().await;
    }

    async fn stop(&mut self) {
        let (cancel, task) = self.running.take().unwrap();
        cancel.cancel();
        task.await.unwrap().unwrap();
    }

    fn today(&self) -> Date {
        self.now.lock().unwrap().to_offset(offset!(+7)).date()
    }

    /// Moves the clock to a second past a later midnight in Vietnam.
    fn pass(&self, days: i64) {
        let midnight = self.today().midnight().assume_offset(offset!(+7));
        *self.now.lock().unwrap() = midnight + Duration::days(days) + Duration::seconds(1);
    }

    async fn until_today(&self) {
        let today = self.today().to_string();
        let begun = || async { self.hub.json(&["status"]).await["day"] == today.as_str() };
        eventually("the day to begin", begun).await;
    }

    async fn agree(&self, id: &str, scope: &str, validity: &str) {
        let document = format!(
            "id = {id:?}\nversion = 1\nagency = \"agency\"\ntitle = \"A test\"\n\
             legal_basis = [\"26/2023/QH15\"]\n{validity}\noperations = [\"lookup\"]\n\
             fields = [\"full_name\"]\noffline_limit = \"9d\"\nofficers = \"vouched\"\n[[purposes]]\ncode = {id:?}\n\
             title = \"A test\"\n[scope]\nnation = true\n{scope}\n"
        );
        let file = self.hub.data_dir().join("agreement.toml");
        std::fs::write(&file, document).unwrap();
        self.hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
    }
}

/// Whole years of age on a day: the number of birthdays lived to see, counted one by one.
fn age(citizen: &Citizen, day: Date) -> Option<i32> {
    let born = citizen.date_of_birth?;
    let first = |part: u32| u8::try_from(part.max(1)).unwrap();
    let birthday = |year: i32| {
        let month = first(born.month).try_into().unwrap();
        // Who is born on 29 February comes of age on 1 March of a common year.
        Date::from_calendar_date(year, month, first(born.day))
            .unwrap_or_else(|_| Date::from_calendar_date(year, time::Month::March, 1).unwrap())
    };
    let born = i32::try_from(born.year).unwrap();
    let lived = (born + 1..).take_while(|year| birthday(*year) <= day).count();
    (birthday(born) <= day).then(|| i32::try_from(lived).unwrap())
}

/// Whoever is under six, or eighty or older while that agreement lasts: handles by number.
fn expected(people: &[Citizen], day: Date, ends: Date, begins: Date) -> Vec<(u64, Vec<&'static str>)> {
    let of = |citizen: &Citizen| {
        let age = age(citizen, day)?;
        let mut covering = Vec::new();
        if age < 6 {
            covering.push("children");
        }
        if age >= 80 && day <= ends {
            covering.push("old");
        }
        if (17..=18).contains(&age) && day >= begins {
            covering.push("youth");
        }
        (!covering.is_empty()).then(|| (citizen.personal_id.parse().unwrap(), covering))
    };
    people.iter().filter_map(of).collect()
}

fn held(node: &Simulated) -> Vec<(u64, Vec<String>)> {
    let holding = node.holding();
    let name = |handle| {
        let grant = holding.target.iter().find(|grant| grant.handle == handle).unwrap();
        grant.agreement.clone()
    };
    let of = |(id, held): (&u64, &dancu_tests::testkit::Held)| {
        let mut names: Vec<_> = held.marks.iter().map(|mark| name(mark.handle)).collect();
        names.sort_unstable();
        (*id, names)
    };
    holding.citizens.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_moves_those_whose_scope_turns_on_it_and_no_one_else() {
    let mut clocked = Clocked::start().await;
    let mut people = people(41, CITIZENS);
    // Days that are easy to get wrong.
    for (person, (year, month, day)) in people.iter_mut().zip([(2020, 2, 29), (2020, 0, 0), (2020, 12, 0)]) {
        person.date_of_birth = Some(dancu_proto::v1::Date { year, month, day });
    }
    people.sort_by(|a, b| a.personal_id.cmp(&b.personal_id));
    clocked.hub.import(&people).await;
    let first = clocked.today();
    let (ends, begins) = (first + Duration::days(2), first + Duration::days(4));
    clocked.agree("children", "age_below = 6", "valid_from = 2020-01-01").await;
    clocked.agree("old", "age_from = 80", &format!("valid_from = 2020-01-01\nvalid_until = {ends}")).await;
    clocked.agree("youth", "age_from = 17\nage_below = 19", &format!("valid_from = {begins}")).await;
    let node = clocked.hub.simulate("node", "agency").await;
    node.wait_until_at(clocked.hub.head().await).await;
    assert!(held(&node).len() > 1_000, "enough people to tell");
    let mut before = expected(&people, first, ends, begins);
    for step in 0..12 {
        let days = if step < 6 { 1 } else { 9 };
        let traffic = node.traffic();
        // Every third time the hub is down over midnight, or over several.
        let down = step % 3 == 2;
        if down {
            clocked.stop().await;
        }
        clocked.pass(days);
        if down {
            clocked.run().await;
        }
        clocked.until_today().await;
        node.wait_until_at(clocked.hub.head().await).await;
        let today = clocked.today();
        let after = expected(&people, today, ends, begins);
        let held = held(&node);
        let told: Vec<(u64, Vec<&str>)> =
            held.iter().map(|(id, names)| (*id, names.iter().map(String::as_str).collect())).collect();
        assert_eq!(told, after, "on {today}");
        // Exactly those were sent.
        let moved = moved(&before, &after, today - Duration::days(1) == ends);
        if days == 1 {
            assert_eq!(node.traffic().changes - traffic.changes, moved, "on {today}");
        }
        before = after;
    }
    assert_eq!(node.faults(), Vec::<String>::new());
    clocked.stop().await;
}

/// How many people are told of. When an agreement ends the node drops its people by itself.
fn moved(before: &[(u64, Vec<&str>)], after: &[(u64, Vec<&str>)], ended: bool) -> u64 {
    let of = |list: &[(u64, Vec<&str>)]| -> BTreeSet<(u64, String)> {
        let told = list.iter().filter(|(_, names)| !ended || names.as_slice() != ["old"]);
        told.map(|(id, names)| (*id, names.join(" "))).collect()
    };
    let (before, after) = (of(before), of(after));
    let ids: BTreeSet<u64> = before.symmetric_difference(&after).map(|(id, _)| *id).collect();
    ids.len() as u64
}
