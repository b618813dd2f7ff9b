//! What a simulated node holds, and what each frame makes of it. It is as strict as it can be: what
//! a real node would shrug off is a fault here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use dancu_proto::{
    Delta as RecordDelta, Field, FieldSet, PersonalId, Record, frame,
    hub::v1::{
        self as wire, Ack, Change, ChangeFrame, Delta, Grant, GrantMark, Heartbeat, Load, PendingDelta,
        Policy, Zone, sync_slice_response::Body,
    },
};

/// One citizen.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The agreements that cover them.
    pub marks: Vec<GrantMark>,
    /// The fields.
    pub record: Record,
}

/// Everything a node holds. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// Identity of the registry.
    pub registry: Vec<u8>,
    /// The revision it stands at.
    pub cursor: u64,
    /// The zones, as the hub told them.
    pub zones: Vec<Zone>,
    /// The policy it works towards.
    pub target: Vec<Grant>,
    /// What may be read.
    pub readable: Vec<Grant>,
    /// Changes of the administrative order that it was told.
    pub areas: u32,
    /// Revision of the policy.
    pub policy: u64,
    /// Revision of the latest policy wholly loaded.
    pub loaded: u64,
    /// A narrowing under way: nothing may be read.
    pub narrowing: Option<Policy>,
    /// The citizens, by number in force.
    pub citizens: Arc<BTreeMap<u64, Held>>,
    /// A delta of several frames, as far as it came.
    pub pending: Option<PendingDelta>,
    /// Its changes.
    pub aside: Arc<Vec<Change>>,
    /// Everyone the node was ever told of.
    known: Arc<BTreeSet<u64>>,
}

impl Holding {
    /// Whether everyone is held under the policy that is worked towards.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.narrowing.is_none() && self.pending.is_none() && self.under_one_policy()
    }

    fn under_one_policy(&self) -> bool {
        matches!(self.zones.as_slice(), [zone] if zone.up_to == 0 && zone.policies == [self.policy])
    }

    pub(super) fn to_wire(&self, protocol: u32) -> wire::Holding {
        let narrowing_to = self.narrowing.as_ref().map(|policy| policy.zones.clone());
        wire::Holding {
            registry_id: self.registry.clone(),
            cursor: self.cursor,
            zones: self.zones.clone(),
            pending: self.pending,
            protocol,
            software: "simulated".into(),
            narrowing_to: narrowing_to.unwrap_or_default(),
            areas: self.areas,
        }
    }

    pub(super) fn acknowledgement(&self) -> Ack {
        let policy = if self.settled() { self.policy } else { 0 };
        Ack { cursor: self.cursor, citizens: self.citizens.len() as u64, policy }
    }

    /// Applies a frame; gives the number of changes in it.
    pub(super) fn apply(&mut self, body: Body) -> anyhow::Result<u64> {
        match body {
            Body::Policy(policy) => self.policy(policy).map(|()| 0),
            Body::Delta(delta) => self.delta(&delta),
            Body::Load(load) => self.load(&load),
            Body::Repair(_) => bail!("a repair that was not asked for"),
            Body::Heartbeat(heartbeat) => {
                self.heartbeat(&heartbeat);
                Ok(0)
            }
        }
    }

    fn policy(&mut self, policy: Policy) -> anyhow::Result<()> {
        if !policy.keep_pending {
            self.pending = None;
            self.aside = Arc::default();
        }
        if policy.reset {
            *self = Holding { known: Arc::clone(&self.known), ..Holding::default() };
        }
        self.check_zones(&policy.zones)?;
        let news = policy.areas.iter();
        for news in news.clone() {
            ensure!(news.known <= self.areas, "news of areas that follow what the node was never told");
        }
        ensure!(self.areas > 0 || news.count() > 0, "a policy without the areas that it names");
        for grant in &policy.readable {
            let target = policy.target.iter().find(|target| target.handle == grant.handle);
            let target = target.context("what is readable is not among what may be held")?;
            ensure!(grant.fields & !target.fields == 0, "more fields are readable than may be held");
        }
        let removals_follow = policy.removals_follow;
        if let Some(overtaken) = self.narrowing.take() {
            self.strip(&overtaken.target);
        }
        self.narrowing = Some(policy);
        if !removals_follow {
            self.finish_narrowing();
        }
        Ok(())
    }

    /// Zones end at people whom the node knows, or they would tell it of others.
    fn check_zones(&self, zones: &[Zone]) -> anyhow::Result<()> {
        let known = |zone: &Zone| zone.up_to == 0 || self.known.contains(&zone.up_to);
        ensure!(zones.iter().all(known), "a zone ends at someone whom the node does not know");
        ensure!(zones.last().is_none_or(|zone| zone.up_to == 0), "the zones do not cover everyone");
        Ok(())
    }

    fn finish_narrowing(&mut self) {
        let Some(policy) = self.narrowing.take() else { return };
        self.strip(&policy.target);
        if let Some(news) = policy.areas {
            self.areas = news.known + news.changes.len() as u32;
        }
        self.registry = policy.registry_id;
        self.cursor = policy.cursor;
        self.zones = policy.zones;
        self.policy = policy.revision;
        (self.target, self.readable) = (policy.target, policy.readable);
        if self.under_one_policy() {
            self.loaded = self.policy;
            self.readable = self.target.clone();
        }
    }

    /// Keeps what some grants give.
    fn strip(&mut self, target: &[Grant]) {
        let given: BTreeMap<u32, u64> = target.iter().map(|grant| (grant.handle, grant.fields)).collect();
        let citizens = Arc::make_mut(&mut self.citizens);
        citizens.retain(|_, held| {
            held.marks.retain(|mark| given.contains_key(&mark.handle));
            let bits = held.marks.iter().fold(1 << 1, |bits, mark| bits | given[&mark.handle]);
            held.record = held.record.project(FieldSet::from_bits(bits)).into_record();
            !held.marks.is_empty()
        });
    }

    fn delta(&mut self, delta: &Delta) -> anyhow::Result<u64> {
        let changes = unpack(delta.changes.as_ref())?;
        let count = changes.len() as u64;
        if delta.narrowing {
            let narrowing = self.narrowing.as_ref().context("removals without a narrowing")?;
            ensure!(narrowing.removals_follow, "removals that were not announced");
            self.changes(&changes, true)?;
            if delta.last {
                self.finish_narrowing();
            }
            return Ok(count);
        }
        ensure!(self.narrowing.is_none(), "changes in the middle of a narrowing");
        ensure!(delta.target >= self.cursor, "a delta leads back");
        if delta.last && self.pending.is_none() {
            self.changes(&changes, false)?;
            self.cursor = delta.target;
            return Ok(count);
        }
        if let Some(pending) = &self.pending {
            ensure!(pending.target == delta.target, "a delta changes its target midway");
        }
        Arc::make_mut(&mut self.aside).extend(changes);
        self.pending = Some(PendingDelta { target: delta.target, position: delta.position });
        if delta.last {
            let aside = std::mem::take(&mut self.aside);
            self.changes(&aside, false)?;
            (self.cursor, self.pending) = (delta.target, None);
        }
        Ok(count)
    }

    fn load(&mut self, load: &Load) -> anyhow::Result<u64> {
        ensure!(self.narrowing.is_none(), "a load in the middle of a narrowing");
        ensure!(self.pending.is_none(), "a load in the middle of a delta");
        ensure!(load.cursor >= self.cursor, "a load leads back");
        let changes = unpack(load.changes.as_ref())?;
        self.changes(&changes, false)?;
        self.check_zones(&load.zones)?;
        self.zones.clone_from(&load.zones);
        self.cursor = load.cursor;
        if load.complete {
            ensure!(self.under_one_policy(), "a complete load leaves zones");
            self.readable = self.target.clone();
            self.loaded = self.policy;
        }
        Ok(changes.len() as u64)
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat) {
        if self.pending.is_none() && self.narrowing.is_none() {
            self.cursor = self.cursor.max(heartbeat.cursor);
        }
    }

    fn changes(&mut self, changes: &[Change], removing: bool) -> anyhow::Result<()> {
        let citizens = Arc::make_mut(&mut self.citizens);
        for change in changes {
            let id = change.personal_id;
            PersonalId::from_u64(id).context("a change of no number")?;
            if change.drop {
                // A narrowing may be done twice; apart from that only who is held can be dropped.
                let told = citizens.remove(&id).is_some() || (removing && self.known.contains(&id));
                ensure!(told, "the drop of someone who is not held");
                continue;
            }
            let base = citizens.get(&id);
            ensure!(base.is_some() || !removing, "a removal adds someone");
            let marks = match (&change.grants, base) {
                (Some(grants), _) => grants.marks.clone(),
                (None, Some(base)) => base.marks.clone(),
                (None, None) => bail!("a change of someone who is not held"),
            };
            ensure!(!marks.is_empty(), "someone whom no agreement covers");
            let record = base.map(|base| base.record.clone()).unwrap_or_default();
            let delta = RecordDelta { set: change.set.clone(), cleared: FieldSet::from_bits(change.cleared) };
            let record = record.apply(&delta)?;
            let number = record.value(Field::PersonalId).and_then(|text| std::str::from_utf8(text).ok());
            let number = number.and_then(|text| text.parse::<u64>().ok());
            ensure!(number == Some(id), "a record has another number than its change");
            if !self.known.contains(&id) {
                Arc::make_mut(&mut self.known).insert(id);
            }
            citizens.insert(id, Held { marks, record });
        }
        Ok(())
    }
}

fn unpack(frame: Option<&ChangeFrame>) -> anyhow::Result<Vec<Change>> {
    frame.map_or(Ok(Vec::new()), |frame| Ok(frame::unpack(frame)?.changes))
}
