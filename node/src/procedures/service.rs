//! `dancu.node.v1.ProcedureService`. Every call is recorded, with what it shows of whom.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::Arc,
};

use dancu_proto::{
    Field, FieldPath, FieldSet, PersonalId, Reason,
    channel::Peer,
    node::v1::{
        CompleteTaskRequest, CompleteTaskResponse, ContributionStatus, GetCaseRequest, GetCaseResponse,
        ListFormsRequest, ListFormsResponse, ListTasksRequest, ListTasksResponse, PrefillFormRequest,
        PrefillFormResponse, procedure_service_server::ProcedureService,
    },
    v1::{
        AccessOperation, CaseStatus, Contribution, ContributionState, Form, Freshness, SubjectOutcome, Task,
    },
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};

use super::{
    shown::shown,
    store::{Desk, DeskError},
};
use crate::{
    access_log::{AccessLog, Entry},
    lookup::{Filled, Lookup},
    outbox::Contributions,
};

/// Tasks of one record in the access log.
const RECORDED: usize = 16;
/// People whom one form may be about.
const PERSONS: usize = 16;

/// Hands a contribution in: the outbox.
#[tonic::async_trait]
pub trait HandsIn: Send + Sync {
    /// Checks a contribution of whoever is at the other end, and queues it.
    ///
    /// # Errors
    /// It may not, what it says cannot be, or there is no room.
    async fn hand_in(
        &self,
        peer: &Peer,
        contribution: Option<Contribution>,
    ) -> Result<ContributionStatus, Status>;

    /// Whether whoever is at the other end has handed in a contribution of that id before.
    async fn has(&self, peer: &Peer, id: &str) -> bool;

    /// Those of some contributions of this node that are not concluded, and where they stand.
    async fn open_ones(&self, ids: Vec<String>) -> HashMap<String, ContributionState>;
}

#[tonic::async_trait]
impl HandsIn for Contributions {
    async fn hand_in(
        &self,
        peer: &Peer,
        contribution: Option<Contribution>,
    ) -> Result<ContributionStatus, Status> {
        // The inherent one.
        Contributions::hand_in(self, peer, contribution).await
    }

    async fn has(&self, peer: &Peer, id: &str) -> bool {
        Contributions::has(self, peer, id).await
    }

    async fn open_ones(&self, ids: Vec<String>) -> HashMap<String, ContributionState> {
        Contributions::open_ones(self, ids).await
    }
}

/// Serves tasks, cases and forms. Cheap to clone.
#[derive(Clone)]
pub struct Procedures {
    desk: Desk,
    lookup: Lookup,
    outbox: Arc<dyn HandsIn>,
    log: AccessLog,
}

impl Procedures {
    /// Over what the hub told; look-ups are made and refused as `lookup` does, tasks end through `outbox`,
    /// and calls are recorded in a log.
    #[must_use]
    pub fn new(desk: Desk, lookup: Lookup, outbox: Arc<dyn HandsIn>, log: AccessLog) -> Procedures {
        Procedures { desk, lookup, outbox, log }
    }

    /// Reads the disk on a thread that may wait for it.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Desk) -> Result<T, DeskError> + Send + 'static,
    ) -> Result<T, Status> {
        let desk = self.desk.clone();
        let read = spawn_blocking(move || read(&desk)).await;
        let failed = |_| Reason::Internal.status("the node failed; tell its operator, whose log says why");
        Ok(read.map_err(failed)??)
    }

    /// The tasks that may be seen under a purpose.
    async fn tasks(
        &self,
        request: &Request<ListTasksRequest>,
        entry: &mut Entry,
    ) -> Result<Vec<ListTasksResponse>, Status> {
        let asked = request.get_ref();
        let call = self.lookup.about_procedures(request, asked.context.as_ref(), entry)?;
        let (freshness, fields) = self.lookup.agreed(&call, false).await?;
        entry.revision = freshness.revision;
        let purpose = asked.context.as_ref().map(|context| context.purpose.as_str()).unwrap_or_default();
        let wanted = |task: &Task| asked.procedure.is_empty() || asked.procedure == task.procedure;
        let tasks = self.read(Desk::tasks).await?.into_iter().filter(wanted);
        let mut tasks: Vec<_> = tasks.filter_map(|task| shown(task, purpose, fields)).collect();
        tasks.sort_by_key(|task| (task.due_at.map(|due| due.seconds), task.opened_at.map(|at| at.seconds)));
        self.with_answers(tasks).await
    }

    /// Tasks, each with the contribution that it was answered by here, as long as the hub has not concluded it.
    async fn with_answers(&self, tasks: Vec<Task>) -> Result<Vec<ListTasksResponse>, Status> {
        let read = move |desk: &Desk| {
            let answered = |task: Task| {
                let by = desk.answered_by(&task.case_id, &task.step)?;
                Ok((task, by))
            };
            tasks.into_iter().map(answered).collect::<Result<Vec<_>, DeskError>>()
        };
        let tasks = self.read(read).await?;
        let ids = tasks.iter().filter_map(|(_, by)| by.clone()).collect();
        let open = self.outbox.open_ones(ids).await;
        let listed = tasks.into_iter().map(|(task, by)| {
            let stands = by.and_then(|by| Some((*open.get(&by)?, by)));
            let (state, by) = stands.unwrap_or_default();
            ListTasksResponse { task: Some(task), answered_by: by, answer_state: state.into() }
        });
        Ok(listed.collect())
    }

    async fn complete(&self, request: Request<CompleteTaskRequest>) -> Result<ContributionStatus, Status> {
        let peer = Peer::of(&request);
        let asked = request.get_ref().contribution.clone().unwrap_or_default();
        let mut entry = Entry::new(AccessOperation::Contribute, asked.context.as_ref());
        // What was handed in is told again, also when the task has ended by it.
        let known = match self.outbox.has(&peer, &asked.id).await {
            true => Ok(()),
            false => self.known(&request, &asked, &mut entry).await,
        };
        match known {
            Ok(()) => {
                let status = self.outbox.hand_in(&peer, request.into_inner().contribution).await?;
                if let Some(task) = asked.task {
                    let id = status.contribution_id.clone();
                    let noted = self.read(move |desk| desk.answer(&task.case_id, &task.step, &id)).await;
                    // It counts all the same; the list shows the task as it was until the hub has the answer.
                    if noted.is_err() {
                        tracing::debug!("it is not noted that a task was answered");
                    }
                }
                Ok(status)
            }
            Err(status) => self.log.conclude(entry, Err(status)).await,
        }
    }

    /// Whether a contribution answers a task of this agency under its purpose, as far as is known here.
    async fn known(
        &self,
        request: &Request<CompleteTaskRequest>,
        asked: &Contribution,
        entry: &mut Entry,
    ) -> Result<(), Status> {
        self.lookup.about_procedures(request, asked.context.as_ref(), entry)?;
        let missing =
            || Reason::InvalidRequest.field("contribution.task", "say which task this ends, and how");
        let answer = asked.task.clone().ok_or_else(missing)?;
        let purpose = asked.context.as_ref().map(|context| context.purpose.clone()).unwrap_or_default();
        let (case, step) = (answer.case_id, answer.step);
        let task = match self.read(move |desk| desk.task(&case, &step)).await {
            Ok(task) => task,
            // What cannot be read now, the hub knows.
            Err(status) if Reason::of(&status) == Some(Reason::SliceSealed) => return Ok(()),
            Err(status) => return Err(status),
        };
        let ours = task.is_some_and(|task| task.purposes.contains(&purpose));
        let none = || Reason::NotFound.status("no such task is open here under this purpose");
        ours.then_some(()).ok_or_else(none)
    }

    async fn form(
        &self,
        request: &Request<PrefillFormRequest>,
        entry: &mut Entry,
    ) -> Result<(Form, Filled), Status> {
        let asked = request.get_ref();
        let mut persons = BTreeMap::new();
        for (role, number) in &asked.persons {
            let number = number.trim().parse::<PersonalId>();
            let number = number.map_err(|error| Reason::InvalidRequest.field("persons", error.to_string()));
            let number = number?;
            persons.insert(role.clone(), number);
            if persons.len() > PERSONS {
                let fault = format!("at most {PERSONS} people");
                return Err(Reason::InvalidRequest.field("persons", fault));
            }
        }
        persons.values().for_each(|number| entry.concerns(*number));
        let call = self.lookup.about_procedures(request, asked.context.as_ref(), entry)?;
        let id = asked.form.clone();
        let none = || Reason::NotFound.status("no form of this id is here");
        let form = self.read(move |desk| desk.form(&id)).await?.ok_or_else(none)?;
        let unknown = |role: &&String| !form.fields.iter().any(|field| field.role == ***role);
        if persons.keys().any(|role| unknown(&role)) {
            let mut roles: Vec<_> = form.fields.iter().map(|field| field.role.as_str()).collect();
            roles.retain(|role| !role.is_empty());
            roles.sort_unstable();
            roles.dedup();
            let fault = format!("this form is about {}", roles.join(", "));
            return Err(Reason::InvalidRequest.field("persons", fault));
        }
        let filled = self.lookup.fill(&call, &form, &persons).await?;
        // Of the others nothing is told, and not whether they are known.
        let numbers: Vec<_> = entry.subjects.iter().map(|subject| subject.id).collect();
        numbers.into_iter().for_each(|id| entry.tells(id, FieldSet::EMPTY, SubjectOutcome::NotFound));
        for (id, fields) in &filled.told {
            entry.tells(*id, *fields, SubjectOutcome::Answered);
        }
        entry.revision = filled.freshness.revision;
        Ok((form, filled))
    }

    async fn case(
        &self,
        request: &Request<GetCaseRequest>,
        entry: &mut Entry,
    ) -> Result<(CaseStatus, Freshness), Status> {
        let asked = request.get_ref();
        let call = self.lookup.about_procedures(request, asked.context.as_ref(), entry)?;
        let (freshness, _) = self.lookup.agreed(&call, true).await?;
        // A case has the id of the contribution that opened it.
        let id = if asked.case_id.is_empty() { &asked.opened_by } else { &asked.case_id };
        let id = id.parse::<uuid::Uuid>();
        let id =
            id.map_err(|_| Reason::InvalidRequest.field("case_id", "is no UUID (RFC 9562)"))?.to_string();
        let none = || Reason::NotFound.status("no such case is known here, or not yet");
        let purpose = asked.context.as_ref().map(|context| &context.purpose);
        let case = self.read(move |desk| desk.case(&id)).await?;
        let case = case.filter(|case| case.purposes.iter().any(|given| Some(given) == purpose));
        let case = case.ok_or_else(none)?;
        entry.revision = freshness.revision;
        Ok((case, freshness))
    }
}

/// What a task tells of people: the number of everybody in it, and the fields that values are from.
fn told(task: &Task, entry: &mut Entry) {
    for (role, number) in &task.persons {
        let Ok(id) = number.parse::<PersonalId>() else { continue };
        let known = entry.subjects.iter().find(|subject| subject.id == id);
        let mut fields = known.map(|known| known.fields).unwrap_or_default();
        fields.insert(Field::PersonalId);
        for value in &task.prefilled {
            let (of, from) = value.source.split_once(": ").unwrap_or_default();
            if let (true, Ok(path)) = (of == role, from.parse::<FieldPath>()) {
                fields.insert(path.field);
            }
        }
        entry.tells(id, fields, SubjectOutcome::Answered);
    }
}

#[tonic::async_trait]
impl ProcedureService for Procedures {
    type ListTasksStream = Pin<Box<dyn Stream<Item = Result<ListTasksResponse, Status>> + Send>>;

    async fn list_tasks(
        &self,
        request: Request<ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        let mut entry = Entry::new(AccessOperation::Procedure, request.get_ref().context.as_ref());
        let tasks = match self.tasks(&request, &mut entry).await {
            Ok(tasks) if !tasks.is_empty() => tasks,
            none => {
                self.log.conclude(entry, none).await?;
                return Ok(Response::new(Box::pin(stream::empty())));
            }
        };
        let parts = tasks.chunks(RECORDED).map(<[ListTasksResponse]>::to_vec);
        let parts: Vec<_> = parts.collect();
        let log = self.log.clone();
        // Each part is recorded before it leaves.
        let recorded = stream::iter(parts).then(move |part| {
            let (log, mut entry) = (log.clone(), entry.clone());
            part.iter().filter_map(|one| one.task.as_ref()).for_each(|task| told(task, &mut entry));
            async move {
                log.record(entry).await?;
                Ok::<_, Status>(stream::iter(part.into_iter().map(Ok::<_, Status>)))
            }
        });
        Ok(Response::new(Box::pin(recorded.try_flatten())))
    }

    async fn complete_task(
        &self,
        request: Request<CompleteTaskRequest>,
    ) -> Result<Response<CompleteTaskResponse>, Status> {
        let status = self.complete(request).await?;
        Ok(Response::new(CompleteTaskResponse { status: Some(status) }))
    }

    async fn prefill_form(
        &self,
        request: Request<PrefillFormRequest>,
    ) -> Result<Response<PrefillFormResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Prefill, request.get_ref().context.as_ref());
        let filled = self.form(&request, &mut entry).await;
        let (form, filled) = self.log.conclude(entry, filled).await?;
        let Filled { values, missing, freshness, .. } = filled;
        let freshness = Some(freshness);
        Ok(Response::new(PrefillFormResponse { title: form.title, values, missing, freshness }))
    }

    async fn list_forms(
        &self,
        request: Request<ListFormsRequest>,
    ) -> Result<Response<ListFormsResponse>, Status> {
        self.lookup.knows(&request)?;
        Ok(Response::new(ListFormsResponse { forms: self.read(Desk::forms).await? }))
    }

    async fn get_case(&self, request: Request<GetCaseRequest>) -> Result<Response<GetCaseResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Procedure, request.get_ref().context.as_ref());
        let case = self.case(&request, &mut entry).await;
        let (case, freshness) = self.log.conclude(entry, case).await?;
        Ok(Response::new(GetCaseResponse { case: Some(case), freshness: Some(freshness) }))
    }
}
