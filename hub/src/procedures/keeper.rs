//! Keeps cases going when nobody hands anything in: steps become late, agreements and nodes change, forms are
//! given to nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dancu_proto::{hub::v1::mail::Content, v1::Form};
use prost::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    case::Case,
    office::{Looking, Office, Reading, carry_out},
    rows::{FORM, OPEN, TABLE, name_of_case},
    surroundings::Mark,
};
use crate::{
    intake::handover::{News, Told},
    mail::{self, Bells},
    registry::{
        Clock, Commit, CommitError, Content as CommitContent, Decide, Decision, Origin, Registry, Rows,
        Standing, StoreError, View,
    },
};

/// Looks at open cases at an interval.
pub struct Keeper {
    /// The procedures.
    pub office: Arc<Office>,
    /// The registry.
    pub registry: Arc<Registry>,
    /// Tells the streams of nodes.
    pub bells: Arc<Bells>,
    /// The time.
    pub clock: Clock,
    /// Between two looks.
    pub every: Duration,
}

impl Keeper {
    /// Looks until cancelled.
    pub async fn keep(self, cancel: CancellationToken) {
        let mut seen = None;
        loop {
            match self.look(&mut seen).await {
                // With what changed meanwhile it is looked at next time.
                Ok(()) | Err(CommitError::Closed | CommitError::Stale) => {}
                Err(error) => tracing::error!(%error, "cases were not looked at; it is tried again"),
            }
            if cancel.run_until_cancelled(tokio::time::sleep(self.every)).await.is_none() {
                return;
            }
        }
    }

    /// Looks once. After a change of agreements, areas, the day or the roll at everything; otherwise at what
    /// has become late.
    async fn look(&self, seen: &mut Option<Mark>) -> Result<(), CommitError> {
        let mark = self.office.lookout().refresh(&self.registry.view())?;
        if seen.is_none_or(|seen| seen.roll != mark.roll) {
            self.tell_forms().await?;
        }
        let anew = *seen != Some(mark);
        for id in self.due(anew).await? {
            let office = Arc::clone(&self.office);
            self.commit(move |standing| {
                let mut rows = Rows::new(standing);
                let Some(row) = rows.get(TABLE, &name_of_case(id))? else { return Ok(None) };
                let case = Case::decode(&row)?;
                let surroundings = office.lookout().now(standing)?;
                let reads = Reading { rows: &rows, updates: &[], surroundings: &surroundings };
                let (now, at) = (standing.now(), standing.at());
                let Some(effects) = office.engine().tick(&case, anew, now, at, &reads)? else {
                    return Ok(None);
                };
                let mail_for = carry_out(&mut rows, effects)?;
                Ok(Some((rows, mail_for)))
            })
            .await?;
        }
        *seen = Some(mark);
        Ok(())
    }

    /// The cases that something is to be done with.
    async fn due(&self, anew: bool) -> Result<Vec<Uuid>, StoreError> {
        let (office, registry) = (Arc::clone(&self.office), Arc::clone(&self.registry));
        let now = (self.clock)();
        let looking = tokio::task::spawn_blocking(move || {
            let view = registry.view();
            let mut due = Vec::new();
            for mark in view.rows_after(TABLE, &[OPEN], None) {
                let (name, _) = mark?;
                let id = name.get(1..).and_then(|id| Uuid::from_slice(id).ok());
                let id = id.ok_or(StoreError::Corrupt("the list of open cases"))?;
                let Some(row) = view.row(TABLE, &name_of_case(id))? else { continue };
                let case = Case::decode(&row)?;
                let reads = Looking { view: &view, surroundings: &office.lookout().known() };
                if office.engine().tick(&case, anew, now, view.revision()?, &reads)?.is_some() {
                    due.push(id);
                }
            }
            Ok(due)
        });
        looking.await.map_err(|_| StoreError::Database("looking at cases broke off".into()))?
    }

    /// Gives every node the forms as they are now, and takes back those that are no more.
    async fn tell_forms(&self) -> Result<(), CommitError> {
        let (office, registry) = (Arc::clone(&self.office), Arc::clone(&self.registry));
        let looking = tokio::task::spawn_blocking(move || untold(&office, &registry.view()));
        let untold =
            looking.await.map_err(|_| StoreError::Database("looking at forms broke off".into()))??;
        if untold.is_empty() {
            return Ok(());
        }
        // Nobody else tells of forms, so they are as they were a moment ago.
        self.commit(move |standing| {
            let (mut rows, mut mail_for) = (Rows::new(standing), Vec::new());
            for (node, form) in untold.clone() {
                rows.put(TABLE, name_of_form(&node, &form.id), mark_of(&form));
                mail::put(&mut rows, &node, &format!("form/{}", form.id), Content::Form(form))?;
                mail_for.push(node);
            }
            Ok(Some((rows, mail_for)))
        })
        .await
    }

    /// Commits rows and mail that something decides on, or nothing.
    async fn commit<F>(&self, decide: F) -> Result<(), CommitError>
    where
        F: for<'a> Fn(&'a Standing<'a>) -> Result<Option<(Rows<'a>, Vec<String>)>, CommitError>
            + Send
            + Sync
            + 'static,
    {
        let told = Arc::new(Told::default());
        let heard = Arc::clone(&told);
        let by = Arc::new(move |standing: &Standing<'_>| {
            let Some((rows, mail_for)) = decide(standing)? else { return Ok(Decision::default()) };
            heard.tell(News { mail_for, ..News::default() });
            Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
        });
        let content = CommitContent::Decided(Decide { alone: false, by });
        self.registry.commit(Commit { origin: Origin::default(), content }).await?;
        told.news().mail_for.iter().for_each(|node| self.bells.ring(node));
        Ok(())
    }
}

/// The forms that nodes do not have as they are now, or have and are no more.
fn untold(office: &Office, view: &View<'_>) -> Result<Vec<(String, Form)>, StoreError> {
    let mut told = BTreeMap::new();
    for row in view.rows_after(TABLE, &[FORM], None) {
        let (name, row) = row?;
        told.insert(name, row);
    }
    let forms = office.engine().catalogue().forms();
    let mut untold = Vec::new();
    for node in office.lookout().known().routes.names() {
        let prefix = name_of_form(node, "");
        let known = told.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let known = known.filter_map(|(name, _)| String::from_utf8(name[prefix.len()..].to_vec()).ok());
        let gone = known.filter(|id| forms.iter().all(|form| form.id != *id));
        let gone = gone.map(|id| Form { id, withdrawn: true, ..Form::default() });
        let all = forms.iter().cloned().chain(gone);
        let fresh = all.filter(|form| told.get(&name_of_form(node, &form.id)) != Some(&mark_of(form)));
        untold.extend(fresh.map(|form| (node.clone(), form)));
    }
    Ok(untold)
}

/// What marks a form: another mark, and nodes must be told.
fn mark_of(form: &Form) -> Vec<u8> {
    blake3::hash(&form.encode_to_vec()).as_bytes()[..16].to_vec()
}

fn name_of_form(node: &str, id: &str) -> Vec<u8> {
    [&[FORM][..], node.as_bytes(), &[0], id.as_bytes()].concat()
}
