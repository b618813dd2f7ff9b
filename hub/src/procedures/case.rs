//! A case as a state machine: it is opened, steps are answered, time passes. No reading and no writing: what
//! it must know of the world it is given as [`Circumstances`].

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    PersonalId,
    v1::{Address, StepState},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    circumstances::Circumstances,
    definition::Procedure,
    routes::{Whose, Work},
};

/// What is said of a step whose way was cut off.
const STOPPED: &str = "Bước trước đó bị từ chối";
/// What is said of a step whose registration was taken back.
const TAKEN_BACK: &str = "Đăng ký của bước này đã bị thu hồi";
/// What is said of the steps of a case that lost its ground.
const NO_GROUND: &str = "Đăng ký mở hồ sơ đã bị thu hồi";

/// A case. Its id is that of the contribution that opened it.
#[derive(Clone, PartialEq)]
pub struct Case {
    /// Its id.
    pub id: Uuid,
    /// The procedure.
    pub procedure: String,
    /// Which document of it the case goes by.
    pub document: [u8; 16],
    /// Number of the applicant's case file.
    pub case_number: String,
    /// The agency that opened it.
    pub agency: String,
    /// The node that it came from.
    pub node: String,
    /// When.
    pub opened_at: OffsetDateTime,
    /// When its last step ended.
    pub closed_at: Option<OffsetDateTime>,
    /// Rises with each change.
    pub version: u64,
    /// Who is who.
    pub persons: BTreeMap<String, PersonalId>,
    /// What was said, by name: by the applicant, or by a step.
    pub answers: BTreeMap<String, Said>,
    /// The address that the applicant said.
    pub address: Option<Address>,
    /// The steps, as the procedure has them.
    pub steps: Vec<CaseStep>,
    /// Nodes that take part, or were told that a step is late.
    pub nodes: BTreeSet<String>,
}

/// An answer.
#[derive(Clone, PartialEq)]
pub struct Said {
    /// What.
    pub value: String,
    /// By which step; none for the applicant.
    pub step: Option<usize>,
    /// When.
    pub at: OffsetDateTime,
}

/// Where a step of a case stands.
#[derive(Clone, Default, PartialEq)]
pub struct CaseStep {
    /// Where.
    pub state: StepState,
    /// It is skipped because the way to it was cut off, and so is what comes after it.
    pub stopped: bool,
    /// The agency whose task it is or was.
    pub agency: Option<String>,
    /// Its nodes, and what marks the task that each has.
    pub tasks: BTreeMap<String, [u8; 8]>,
    /// The address that it is about.
    pub address: Option<Address>,
    /// From which of the places that the procedure names it is.
    pub address_from: Option<usize>,
    /// Since when it is open.
    pub opened_at: Option<OffsetDateTime>,
    /// Until when.
    pub due_at: Option<OffsetDateTime>,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// It was late, and was escalated.
    pub escalated: bool,
    /// Why it was refused, returned or skipped, or came back.
    pub note: String,
    /// The contribution whose event completed it.
    pub contribution: Option<Uuid>,
}

/// A case is about people, so debug output shows only where it stands.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let states: Vec<_> = self.steps.iter().map(|step| step.state).collect();
        write!(f, "Case({}, {}, {states:?})", self.id, self.procedure)
    }
}

/// How a step ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Done, with what it produces, and the contribution whose event it is.
    Done(BTreeMap<String, String>, Option<Uuid>),
    /// Refused: why.
    Refused(String),
    /// Returned for more: what.
    Returned(String),
}

/// What is known when a case is opened.
pub struct Opening {
    /// The contribution.
    pub contribution: Uuid,
    /// Which document of the procedure is in force.
    pub document: [u8; 16],
    /// Number of the applicant's case file.
    pub case_number: String,
    /// The agency that hands it in.
    pub agency: String,
    /// From which node.
    pub node: String,
    /// Who is who.
    pub persons: BTreeMap<String, PersonalId>,
    /// What the applicant said.
    pub answers: BTreeMap<String, String>,
    /// The address that the applicant said.
    pub address: Option<Address>,
}

fn has_ended(step: &CaseStep) -> bool {
    matches!(step.state, StepState::Done | StepState::Refused | StepState::Skipped)
}

impl Case {
    /// Opens a case: its first step is done, and those after it begin.
    #[must_use]
    pub fn open(procedure: &Procedure, opening: Opening, world: &Circumstances<'_>) -> Case {
        let now = world.now;
        let mut steps =
            vec![CaseStep { state: StepState::Waiting, ..CaseStep::default() }; procedure.steps.len()];
        steps[0] = CaseStep {
            state: StepState::Done,
            agency: Some(opening.agency.clone()),
            tasks: BTreeMap::from([(opening.node.clone(), [0; 8])]),
            opened_at: Some(now),
            ended_at: Some(now),
            contribution: Some(opening.contribution),
            ..CaseStep::default()
        };
        let said = |(name, value)| (name, Said { value, step: None, at: now });
        let mut case = Case {
            id: opening.contribution,
            procedure: procedure.id.clone(),
            document: opening.document,
            case_number: opening.case_number,
            agency: opening.agency,
            nodes: BTreeSet::from([opening.node.clone()]),
            node: opening.node,
            opened_at: now,
            closed_at: None,
            version: 1,
            persons: opening.persons,
            answers: opening.answers.into_iter().map(said).collect(),
            address: opening.address,
            steps,
        };
        case.advance(procedure, world);
        case
    }

    /// Ends an open step, and begins those that come after it, or again the one before.
    pub fn end(&mut self, procedure: &Procedure, place: usize, end: End, world: &Circumstances<'_>) {
        let step = &mut self.steps[place];
        match end {
            End::Done(answers, contribution) => {
                (step.state, step.ended_at) = (StepState::Done, Some(world.now));
                step.note.clear();
                step.contribution = contribution.or(step.contribution);
                let said = |value| Said { value, step: Some(place), at: world.now };
                self.answers.extend(answers.into_iter().map(|(name, value)| (name, said(value))));
            }
            End::Refused(why) => {
                (step.state, step.ended_at, step.note) = (StepState::Refused, Some(world.now), why);
            }
            End::Returned(what) => {
                (step.state, step.ended_at) = (StepState::Returned, Some(world.now));
                step.note.clone_from(&what);
                for before in self.done_before(procedure, place) {
                    self.begin(procedure, before, world);
                    self.steps[before].note.clone_from(&what);
                }
            }
        }
        self.version += 1;
        self.advance(procedure, world);
    }

    /// The event that opened the case is taken back: there is nothing left to do. Who took part is told also
    /// after the case was closed, since what they did may have to be undone.
    pub fn lose_ground(&mut self, now: OffsetDateTime) {
        let (first, after) = self.steps.split_at_mut(1);
        for step in first {
            (step.state, step.note) = (StepState::Refused, TAKEN_BACK.to_owned());
            step.ended_at.get_or_insert(now);
        }
        for step in after.iter_mut().filter(|step| !has_ended(step)) {
            (step.state, step.stopped, step.note) = (StepState::Skipped, true, NO_GROUND.to_owned());
            step.ended_at = Some(now);
        }
        self.closed_at.get_or_insert(now);
        self.version += 1;
    }

    /// The event that completed a step other than the first is taken back: it stands open again, and those
    /// after it wait. What a case that is closed came to stays.
    pub fn undo(&mut self, procedure: &Procedure, place: usize, world: &Circumstances<'_>) {
        if self.closed_at.is_some() || self.steps[place].state != StepState::Done {
            return;
        }
        self.begin(procedure, place, world);
        self.steps[place].note = TAKEN_BACK.to_owned();
        for after in place + 1..self.steps.len() {
            if self.steps[after].state == StepState::Open && self.waits_for_others(procedure, after) {
                self.steps[after].state = StepState::Waiting;
            }
        }
        self.version += 1;
        self.advance(procedure, world);
    }

    /// The open steps that have become late since; each is escalated once.
    pub fn pass(&mut self, now: OffsetDateTime) -> Vec<usize> {
        let mut late = Vec::new();
        for (place, step) in self.steps.iter_mut().enumerate() {
            if step.state == StepState::Open && !step.escalated && step.due_at.is_some_and(|due| due <= now) {
                step.escalated = true;
                late.push(place);
            }
        }
        self.version += u64::from(!late.is_empty());
        late
    }

    /// Whether a step has become late that is not escalated yet.
    #[must_use]
    pub fn has_newly_late(&self, now: OffsetDateTime) -> bool {
        let mut open = self.steps.iter().filter(|step| step.state == StepState::Open && !step.escalated);
        open.any(|step| step.due_at.is_some_and(|due| due <= now))
    }

    /// Gives open steps to whose tasks they are by now. Whether anything changed.
    pub fn route(&mut self, procedure: &Procedure, world: &Circumstances<'_>) -> bool {
        let mut changed = false;
        for place in 0..procedure.steps.len() {
            if self.steps[place].state == StepState::Open {
                changed |= self.assign(procedure, place, world);
            }
        }
        self.version += u64::from(changed);
        changed
    }

    /// The next moment at which a step becomes late.
    #[must_use]
    pub fn late_at(&self) -> Option<OffsetDateTime> {
        let open = self.steps.iter().filter(|step| step.state == StepState::Open);
        open.filter_map(|step| step.due_at).min()
    }

    /// Whether a step is late.
    #[must_use]
    pub fn is_late(&self, now: OffsetDateTime) -> bool {
        self.late_at().is_some_and(|due| due <= now)
    }

    fn advance(&mut self, procedure: &Procedure, world: &Circumstances<'_>) {
        // Steps come after those that stand before them, so once through is enough.
        for (place, of) in procedure.steps.iter().enumerate() {
            let waits = matches!(self.steps[place].state, StepState::Waiting | StepState::Returned);
            // Whoever has it may be far before: steps in between were skipped or refused.
            if !waits || self.waits_for_others(procedure, place) {
                continue;
            }
            let cut_off = self.is_cut_off(procedure, place);
            let needless = of.skip.iter().find(|skip| world.holds(&skip.when, self));
            let step = &mut self.steps[place];
            if cut_off {
                (step.state, step.stopped, step.note) = (StepState::Skipped, true, STOPPED.to_owned());
                step.ended_at = Some(world.now);
            } else if let Some(skip) = needless {
                (step.state, step.note) = (StepState::Skipped, skip.note.clone());
                step.ended_at = Some(world.now);
            } else {
                step.note.clear();
                self.begin(procedure, place, world);
            }
        }
        self.closed_at = self.steps.iter().all(has_ended).then_some(world.now);
    }

    /// Whether the way to a step is cut off by a refusal, directly or beyond steps that were not done.
    fn is_cut_off(&self, procedure: &Procedure, place: usize) -> bool {
        procedure.steps[place].after.iter().any(|before| {
            let step = &self.steps[*before];
            let refused = step.state == StepState::Refused && !procedure.steps[*before].goes_on;
            let done = step.state == StepState::Done;
            step.stopped || refused || (!done && self.is_cut_off(procedure, *before))
        })
    }

    /// Whether a step before one, however far, has not ended.
    fn waits_for_others(&self, procedure: &Procedure, place: usize) -> bool {
        let before = &procedure.steps[place].after;
        before
            .iter()
            .any(|before| !has_ended(&self.steps[*before]) || self.waits_for_others(procedure, *before))
    }

    /// The steps before one that are done, beyond those that were skipped or refused.
    fn done_before(&self, procedure: &Procedure, place: usize) -> BTreeSet<usize> {
        let mut done = BTreeSet::new();
        let mut look = procedure.steps[place].after.clone();
        while let Some(before) = look.pop() {
            match self.steps[before].state {
                StepState::Done => _ = done.insert(before),
                StepState::Skipped | StepState::Refused => look.extend(&procedure.steps[before].after),
                _ => {}
            }
        }
        done
    }

    fn begin(&mut self, procedure: &Procedure, place: usize, world: &Circumstances<'_>) {
        let of = &procedure.steps[place];
        let mut places = of.address.iter().enumerate();
        let address = places.find_map(|(from, of)| Some((from, world.address(of, self)?)));
        let step = &mut self.steps[place];
        (step.state, step.ended_at, step.escalated) = (StepState::Open, None, false);
        step.opened_at = Some(world.now);
        step.due_at = of.deadline.map(|days| world.days.due(world.now, days));
        // What it was about stays so when it comes back: an address may have been removed by it.
        if step.address.is_none() {
            (step.address_from, step.address) = address.unzip();
        }
        self.assign(procedure, place, world);
    }

    /// Whose the first step is when it stands open again: the node's that opened the case, as long as it
    /// may; then the agency's that it was, and then whose it would be where the case goes on.
    fn who_opens(&self, work: Work<'_>, world: &Circumstances<'_>) -> Option<Whose> {
        let mut nodes = vec![self.node.clone()];
        nodes.retain(|node| world.routes.does(node, work));
        if nodes.is_empty() {
            nodes = world.routes.of_agency(&self.agency).cloned().collect();
            nodes.retain(|node| world.routes.does(node, work));
        }
        if !nodes.is_empty() {
            return Some(Whose { agency: self.agency.clone(), nodes });
        }
        let address = self.steps.iter().find_map(|step| step.address.as_ref());
        world.routes.whose(work, world.place_of(address))
    }

    fn assign(&mut self, procedure: &Procedure, place: usize, world: &Circumstances<'_>) -> bool {
        let work = procedure.work(place);
        let whose = match place {
            0 => self.who_opens(work, world),
            _ => world.routes.whose(work, world.place_of(self.steps[place].address.as_ref())),
        };
        let (agency, nodes) = whose.map_or((None, Vec::new()), |whose| (Some(whose.agency), whose.nodes));
        let step = &mut self.steps[place];
        if step.agency == agency && step.tasks.keys().eq(nodes.iter()) {
            return false;
        }
        step.agency = agency;
        step.tasks.retain(|node, _| nodes.contains(node));
        for node in nodes {
            self.nodes.insert(node.clone());
            step.tasks.entry(node).or_default();
        }
        true
    }
}
