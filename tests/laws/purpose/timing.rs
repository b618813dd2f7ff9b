//! How long it takes to be told that there is nobody: the same for those who are held for others.

use std::time::Instant;

use dancu_proto::{
    node::v1::{BatchGetCitizensRequest, GetCitizenRequest, ReconcileCitizensRequest, VerifyCitizenRequest},
    v1::Citizen,
};
use dancu_tests::testkit::{Agreement, Caller, Hub};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::{
    OWN,
    calls::{Call, ask},
    marked::citizen,
    seed, why,
};

/// Held for another purpose.
const HELD: usize = 400;
/// Calls of each kind in a block. What disturbs the machine disturbs both kinds in it.
const BLOCK: usize = 16;
/// Fewer microseconds than this are not told apart in a call over a network; nor this much for each person
/// of a list.
const FLOOR: f64 = 15.0;
const EACH: f64 = 0.4;
/// Measurements, of which one without a difference is enough: one that is there is in all of them.
const ATTEMPTS: usize = 3;
/// How often labels are drawn anew, to see what chance alone does.
const SHUFFLES: usize = 400;

/// Two kinds of calls, timed in turn.
struct Timed {
    /// Medians of each block: nobody's, and those of others.
    blocks: Vec<(f64, f64)>,
    /// The difference in each block between the first and the second half of one kind.
    halves: Vec<f64>,
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Timed {
    async fn of(caller: &Caller, blocks: usize, rng: &mut SmallRng, call: impl Fn(usize) -> Call) -> Timed {
        let mut timed = Timed { blocks: Vec::new(), halves: Vec::new() };
        for block in 0..=blocks {
            let mut order: Vec<_> = (0..2 * BLOCK).map(|place| place % 2 == 0).collect();
            order.shuffle(rng);
            let (mut nobody, mut others) = (Vec::new(), Vec::new());
            for held in order {
                // Nobody has the numbers between theirs.
                let person = 2 * rng.random_range(0..HELD) + usize::from(!held);
                let call = call(person);
                let began = Instant::now();
                let answer = ask(caller, call).await;
                let micros = began.elapsed().as_secs_f64() * 1e6;
                drop(answer);
                if held { &mut others } else { &mut nobody }.push(micros);
            }
            // The first block warms up.
            if block > 0 {
                let (first, second) = nobody.split_at(BLOCK / 2);
                timed.halves.push(median(second.to_vec()) - median(first.to_vec()));
                timed.blocks.push((median(nobody), median(others)));
            }
        }
        timed
    }

    /// By how much those of others take longer, and by how much chance alone would have it, microseconds:
    /// in 99 of 100 draws of which half of the calls of one kind is which.
    fn difference(&self, rng: &mut SmallRng) -> (f64, f64) {
        let differences = self.blocks.iter().map(|(nobody, others)| others - nobody);
        let mut drawn: Vec<_> = (0..SHUFFLES)
            .map(|_| mean(self.halves.iter().map(|one| if rng.random_bool(0.5) { *one } else { -one })).abs())
            .collect();
        drawn.sort_by(f64::total_cmp);
        (mean(differences), drawn[SHUFFLES * 99 / 100])
    }

    /// Whether they take as long, but for noise. `people` is how many a call asks about.
    fn is_alike(&self, what: &str, people: usize, rng: &mut SmallRng) -> bool {
        let (difference, chance) = self.difference(rng);
        let nobody = median(self.blocks.iter().map(|(nobody, _)| *nobody).collect());
        let bound = 3.0 * chance + FLOOR + EACH * people as f64;
        println!(
            "{what}: nobody {nobody:.1} µs, those of others {difference:+.1} µs, where {bound:.1} µs may be noise, of {} calls each",
            self.blocks.len() * BLOCK
        );
        difference.abs() < bound
    }
}

/// Calls about those of others take as long as about nobody. What was in the way of one measurement is not
/// in the way of all.
async fn take_as_long(
    caller: &Caller,
    what: &str,
    (blocks, people): (usize, usize),
    rng: &mut SmallRng,
    call: impl Fn(usize) -> Call,
) {
    for _ in 0..ATTEMPTS {
        if Timed::of(caller, blocks, rng, &call).await.is_alike(what, people, rng) {
            return;
        }
    }
    panic!("{what} tells by its time who is held for others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_takes_as_long_to_be_nobody_as_to_be_held_for_others() {
    let hub = Hub::start().await;
    let people: Vec<Citizen> = (0..HELD).map(|person| citizen(2 * person)).collect();
    hub.import(&people).await;
    for (purpose, province) in [(OWN, Some("96")), ("b", None)] {
        let agreement = Agreement {
            id: format!("agreement-{purpose}"),
            version: 1,
            agency: "agency".into(),
            purpose: purpose.into(),
            fields: ["full_name", "date_of_birth", "old_id_number", "email", "permanent_residence"]
                .map(str::to_owned)
                .into(),
            provinces: province.into_iter().map(str::to_owned).collect(),
            communes: Vec::new(),
            offline_limit: "1d".into(),
        };
        let document = agreement.document().replace("\"verify\"", "\"verify\", \"reconcile\"");
        let file = hub.data_dir().join("agreement.toml");
        std::fs::write(&file, document).unwrap();
        hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
    }
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    assert_eq!(node.status().await["citizens"], HELD);
    let caller = Caller::add(&node, "one-stop", OWN, &[]).await;
    let mut rng = SmallRng::seed_from_u64(seed());
    let context = || Some(why(OWN));
    let id = |person: usize| citizen(person).personal_id;

    let get = |person: usize| {
        Call::Get(GetCitizenRequest { context: context(), personal_id: id(person), ..Default::default() })
    };
    take_as_long(&caller, "GetCitizen", (200, 1), &mut rng, get).await;
    let verify = |person: usize| {
        let claim = Some(Citizen { sex: "1".into(), ..Citizen::default() });
        Call::Verify(Box::new(VerifyCitizenRequest { context: context(), personal_id: id(person), claim }))
    };
    take_as_long(&caller, "VerifyCitizen", (100, 1), &mut rng, verify).await;
    // A list makes a small difference large: the same person again and again.
    let batch = |person: usize| {
        let personal_ids = vec![id(person); 1_000];
        Call::Batch(BatchGetCitizensRequest { context: context(), personal_ids, fields: Vec::new() })
    };
    take_as_long(&caller, "BatchGetCitizens of 1,000", (24, 1_000), &mut rng, batch).await;
    let reconcile = |person: usize| {
        let records = vec![Citizen { personal_id: id(person), sex: "1".into(), ..Citizen::default() }; 1_000];
        Call::Reconcile(ReconcileCitizensRequest { context: context(), disclose: false, records })
    };
    take_as_long(&caller, "ReconcileCitizens of 1,000", (24, 1_000), &mut rng, reconcile).await;
}
