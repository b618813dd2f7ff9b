//! Keeps cases going when nobody hands anything in: steps become late, agreements and nodes change, forms are
//! given to nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dancu_proto::{hub::v1::mail::Content, v1::Form};
use prost::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    case::Case,
    office::{Looking, Office, Reading, Surroundings, carry_out},
    rows::{FORM, OPEN, TABLE, name_of_case},
};
use crate::{
    intake::handover::{News, Told},
    mail::{self, Bells, Item},
    projection::Ledger,
    registry::{
        Clock, Commit, CommitError, Content as CommitContent, Decide, Decision, Origin, Registry, Rows,
        Standing, StoreError,
    },
};

/// Looks at open cases at an interval.
pub struct Keeper {
    /// The procedures.
    pub office: Arc<Office>,
    /// The registry.
    pub registry: Arc<Registry>,
    /// Its agreements.
    pub ledger: Arc<Ledger>,
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
        let mut seen: Option<Arc<Surroundings>> = None;
        loop {
            match self.look(&mut seen).await {
                Ok(()) | Err(CommitError::Closed) => {}
                Err(error) => tracing::error!(%error, "cases were not looked at; it is tried again"),
            }
            if cancel.run_until_cancelled(tokio::time::sleep(self.every)).await.is_none() {
                return;
            }
        }
    }

    /// Looks once. After a change of agreements, areas, the day or the roll at everything; otherwise at what
    /// has become late.
    async fn look(&self, seen: &mut Option<Arc<Surroundings>>) -> Result<(), CommitError> {
        self.ledger.catch_up(&self.registry.view())?;
        let surroundings = self.office.surroundings();
        let anew = seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &surroundings));
        if anew {
            self.tell_forms(&surroundings).await?;
        }
        for id in self.due(&surroundings, anew).await? {
            let (office, surroundings) = (Arc::clone(&self.office), Arc::clone(&surroundings));
            self.commit(false, move |standing| {
                let mut rows = Rows::new(standing);
                let Some(row) = rows.get(TABLE, &name_of_case(id))? else { return Ok(None) };
                let case = Case::decode(&row)?;
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
        *seen = Some(surroundings);
        Ok(())
    }

    /// The cases that something is to be done with.
    async fn due(&self, surroundings: &Arc<Surroundings>, anew: bool) -> Result<Vec<Uuid>, StoreError> {
        let (office, registry) = (Arc::clone(&self.office), Arc::clone(&self.registry));
        let (surroundings, now) = (Arc::clone(surroundings), (self.clock)());
        let looking = tokio::task::spawn_blocking(move || {
            let view = registry.view();
            let reads = Looking { view: &view, surroundings: &surroundings };
            let mut due = Vec::new();
            for mark in view.rows_after(TABLE, &[OPEN], None) {
                let (name, _) = mark?;
                let id = name.get(1..).and_then(|id| Uuid::from_slice(id).ok());
                let id = id.ok_or(StoreError::Corrupt("the list of open cases"))?;
                let Some(row) = view.row(TABLE, &name_of_case(id))? else { continue };
                let case = Case::decode(&row)?;
                if office.engine().tick(&case, anew, now, view.revision()?, &reads)?.is_some() {
                    due.push(id);
                }
            }
            Ok(due)
        });
        looking.await.map_err(|_| StoreError::Database("looking at cases broke off".into()))?
    }

    /// Gives every node the forms as they are now, and takes back those that are no more.
    async fn tell_forms(&self, surroundings: &Arc<Surroundings>) -> Result<(), CommitError> {
        let (office, surroundings) = (Arc::clone(&self.office), Arc::clone(surroundings));
        self.commit(true, move |standing| {
            let mut told = BTreeMap::new();
            for row in standing.rows(TABLE, &[FORM]) {
                let (name, row) = row?;
                told.insert(name, row);
            }
            let mut rows = Rows::new(standing);
            let mut mail_for = Vec::new();
            for node in surroundings.routes.names() {
                let prefix = name_of_form(node, "");
                let known = told.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
                let known =
                    known.filter_map(|(name, _)| String::from_utf8(name[prefix.len()..].to_vec()).ok());
                let forms = office.engine().catalogue().forms();
                let gone = known.filter(|id| forms.iter().all(|form| form.id != *id));
                let gone = gone.map(|id| Form { id, withdrawn: true, ..Form::default() });
                for form in forms.iter().cloned().chain(gone) {
                    let name = name_of_form(node, &form.id);
                    let mark = blake3::hash(&form.encode_to_vec()).as_bytes()[..16].to_vec();
                    if told.get(&name) == Some(&mark) {
                        continue;
                    }
                    let item = Item::Other(format!("form/{}", form.id), Content::Form(form));
                    mail::put(&mut rows, node, item)?;
                    rows.put(TABLE, name, mark);
                    mail_for.push(node.to_owned());
                }
            }
            Ok((!mail_for.is_empty()).then_some((rows, mail_for)))
        })
        .await
    }

    /// Commits rows and mail that something decides on, or nothing.
    async fn commit<F>(&self, alone: bool, decide: F) -> Result<(), CommitError>
    where
        F: for<'a> Fn(&'a Standing<'a>) -> Result<Option<(Rows<'a>, Vec<String>)>, StoreError>
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
        let content = CommitContent::Decided(Decide { alone, by });
        self.registry.commit(Commit { origin: Origin::default(), content }).await?;
        told.news().mail_for.iter().for_each(|node| self.bells.ring(node));
        Ok(())
    }
}

fn name_of_form(node: &str, id: &str) -> Vec<u8> {
    [&[FORM][..], node.as_bytes(), &[0], id.as_bytes()].concat()
}
