//! Every call of a back-end about citizens, and what comes back: all of it, to the last byte.

use dancu_proto::{
    Field, FieldSet, Record,
    node::v1::{
        BatchGetCitizensRequest, BatchGetCitizensResponse, FindCitizenRequest, FindCitizenResponse,
        GetCitizenRequest, GetCitizenResponse, NameAndBirth, ReconcileCitizensRequest,
        ReconcileCitizensResponse, RegisterInterestRequest, ReportAccessRequest, VerifyCitizenRequest,
        VerifyCitizenResponse, find_citizen_request::Criterion,
    },
    v1::{AccessContext, Citizen, Date},
};
use dancu_tests::testkit::Caller;
use prost::Message;
use tonic::{Code, Response, Status, Streaming, metadata::MetadataMap};

/// A call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(GetCitizenRequest),
    Batch(BatchGetCitizensRequest),
    Find(FindCitizenRequest),
    Verify(Box<VerifyCitizenRequest>),
    Reconcile(ReconcileCitizensRequest),
    Report(ReportAccessRequest),
    Register(RegisterInterestRequest),
}

/// A message that came back. The number that a batch repeats is left out: the caller knows it.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Get(GetCitizenResponse),
    Batch(BatchGetCitizensResponse),
    Find(FindCitizenResponse),
    Verify(VerifyCitizenResponse),
    Reconcile(ReconcileCitizensResponse),
    Other(Vec<u8>),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Vec<Said>,
    pub(super) refused: Option<Status>,
    headers: String,
}

/// What can be compared of two answers: all but the time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timeless {
    said: Vec<Vec<u8>>,
    refused: Option<(Code, String, Vec<u8>, String)>,
    headers: String,
}

fn written(headers: &MetadataMap) -> String {
    let mut headers = headers.clone().into_headers();
    headers.remove("date");
    format!("{headers:?}")
}

impl Said {
    pub(super) fn encoded(&self) -> Vec<u8> {
        match self {
            Said::Get(message) => message.encode_to_vec(),
            Said::Batch(message) => message.encode_to_vec(),
            Said::Find(message) => message.encode_to_vec(),
            Said::Verify(message) => message.encode_to_vec(),
            Said::Reconcile(message) => message.encode_to_vec(),
            Said::Other(bytes) => bytes.clone(),
        }
    }

    /// The citizens in it, each with the fields that are said to be authorised.
    pub(super) fn citizens(&self) -> Vec<(&Citizen, FieldSet)> {
        let listed = |numbers: &[i32]| numbers.iter().filter_map(|n| Field::try_from(*n).ok()).collect();
        match self {
            Said::Get(one) => one.citizen.iter().map(|of| (of, listed(&one.authorised))).collect(),
            Said::Batch(one) => one.citizen.iter().map(|of| (of, listed(&one.authorised))).collect(),
            Said::Find(found) => {
                let of = |one: &'_ dancu_proto::node::v1::CitizenMatch| listed(&one.authorised);
                let one = found.matches.iter().filter_map(|one| Some((one.citizen.as_ref()?, of(one))));
                one.collect()
            }
            Said::Reconcile(said) => {
                let right = said.records.iter().filter_map(|one| one.registered.as_deref());
                right.map(|right| (right, Record::encode(right).fields())).collect()
            }
            Said::Verify(_) | Said::Other(_) => Vec::new(),
        }
    }

    fn timeless(mut self) -> Vec<u8> {
        match &mut self {
            Said::Get(message) => message.freshness = None,
            Said::Batch(message) => message.freshness = None,
            Said::Find(message) => message.freshness = None,
            Said::Verify(message) => message.freshness = None,
            Said::Reconcile(message) => message.freshness = None,
            Said::Other(_) => {}
        }
        self.encoded()
    }
}

impl Answer {
    fn once<T>(answer: Result<Response<T>, Status>, said: impl FnOnce(T) -> Said) -> Answer {
        match answer {
            Ok(answer) => {
                let headers = written(answer.metadata());
                Answer { said: vec![said(answer.into_inner())], refused: None, headers }
            }
            Err(refused) => Answer { said: Vec::new(), refused: Some(refused), headers: String::new() },
        }
    }

    async fn all<T>(answer: Result<Response<Streaming<T>>, Status>, said: impl Fn(T) -> Said) -> Answer {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(refused) => return Answer::once(Err::<Response<()>, _>(refused), |()| unreachable!()),
        };
        let mut all = Answer { said: Vec::new(), refused: None, headers: written(answer.metadata()) };
        loop {
            match answer.get_mut().message().await {
                Ok(Some(message)) => all.said.push(said(message)),
                Ok(None) => return all,
                Err(refused) => {
                    all.refused = Some(refused);
                    return all;
                }
            }
        }
    }

    /// Everything that a caller can read of it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.said.iter().flat_map(Said::encoded).collect();
        bytes.extend(self.headers.as_bytes());
        if let Some(refused) = &self.refused {
            bytes.extend(refused.message().as_bytes());
            bytes.extend(refused.details());
            bytes.extend(written(refused.metadata()).as_bytes());
        }
        bytes
    }

    pub(super) fn timeless(self) -> Timeless {
        let refused = self.refused.map(|status| {
            let headers = written(status.metadata());
            (status.code(), status.message().to_owned(), status.details().to_vec(), headers)
        });
        Timeless { said: self.said.into_iter().map(Said::timeless).collect(), refused, headers: self.headers }
    }
}

/// Makes a call.
pub(super) async fn ask(caller: &Caller, call: Call) -> Answer {
    let mut citizens = caller.citizens();
    match call {
        Call::Get(request) => Answer::once(citizens.get_citizen(request).await, Said::Get),
        Call::Batch(request) => {
            let unasked = |one| Said::Batch(BatchGetCitizensResponse { personal_id: String::new(), ..one });
            Answer::all(citizens.batch_get_citizens(request).await, unasked).await
        }
        Call::Find(request) => Answer::once(citizens.find_citizen(request).await, Said::Find),
        Call::Verify(request) => Answer::once(citizens.verify_citizen(*request).await, Said::Verify),
        Call::Reconcile(request) => {
            let requests = tokio_stream::iter([request]);
            Answer::all(citizens.reconcile_citizens(requests).await, Said::Reconcile).await
        }
        Call::Report(request) => {
            let answer = caller.notices().report_access(request).await;
            Answer::once(answer, |message| Said::Other(message.encode_to_vec()))
        }
        Call::Register(request) => {
            let answer = caller.interests().register_interest(request).await;
            Answer::once(answer, |message| Said::Other(message.encode_to_vec()))
        }
    }
}

/// Parts of what is known of somebody.
pub(super) fn part(of: &Citizen, fields: impl IntoIterator<Item = Field>) -> Citizen {
    Record::encode(of).project(fields.into_iter().collect()).record().decode().unwrap()
}

/// Every way to ask about somebody, by everything that is known of them.
pub(super) fn about(one: &Citizen, context: &AccessContext) -> Vec<Call> {
    let context = || Some(context.clone());
    let id = || one.personal_id.clone();
    let former = || one.former_personal_ids.as_ref().map(|list| list.values[0].clone()).unwrap_or_default();
    let everything = || Field::ALL.iter().copied();
    let numbers = || everything().map(|field| dancu_proto::v1::Field::from(field).into()).collect();
    let birth = one.date_of_birth.unwrap_or_default();
    let year = Date { month: 0, day: 0, ..birth };
    let full_name = || one.full_name.clone().unwrap_or_default().full();
    let mut calls = Vec::new();
    for personal_id in [id(), former(), format!(" {}", id())] {
        for (fields, remote) in [(Vec::new(), false), (numbers(), false), (Vec::new(), true)] {
            let personal_id = personal_id.clone();
            calls.push(Call::Get(GetCitizenRequest { context: context(), personal_id, fields, remote }));
        }
        let unnumbered = part(one, everything().filter(|field| *field != Field::PersonalId));
        for claim in [one.clone(), unnumbered, Citizen { sex: "0".into(), ..Citizen::default() }] {
            let (personal_id, claim) = (personal_id.clone(), Some(claim));
            let verify = VerifyCitizenRequest { context: context(), personal_id, claim };
            calls.push(Call::Verify(Box::new(verify)));
        }
        let (personal_id, from, until) = (personal_id.clone(), None, None);
        calls.push(Call::Report(ReportAccessRequest { context: context(), personal_id, from, until }));
    }
    for fields in [Vec::new(), numbers()] {
        let personal_ids = vec![id(), former(), id()];
        calls.push(Call::Batch(BatchGetCitizensRequest { context: context(), personal_ids, fields }));
    }
    let known = |full_name: String, birth: Date| {
        Criterion::NameAndBirth(NameAndBirth { full_name, date_of_birth: Some(birth) })
    };
    for criterion in [
        Criterion::OldIdNumber(one.old_id_number.clone()),
        known(full_name(), birth),
        known(full_name().to_uppercase(), year),
        known(dancu_proto::name::unmarked(&full_name()), birth),
    ] {
        let (criterion, fields) = (Some(criterion), numbers());
        calls.push(Call::Find(FindCitizenRequest { context: context(), criterion, fields }));
    }
    let named = [Field::FullName, Field::DateOfBirth];
    let unnumbered = everything().filter(|field| !matches!(field, Field::PersonalId | Field::OldIdNumber));
    let records = vec![
        one.clone(),
        part(one, [Field::PersonalId]),
        Citizen { personal_id: former(), ..one.clone() },
        part(one, [Field::OldIdNumber]),
        part(one, everything().filter(|field| *field != Field::PersonalId)),
        part(one, named),
        part(one, unnumbered),
        Citizen { date_of_birth: Some(year), sex: "0".into(), ..part(one, named) },
        // Wrong in everything, so that the right values would be told.
        Citizen { email: "x@example.vn".into(), sex: "0".into(), ..part(one, [Field::PersonalId]) },
    ];
    for disclose in [false, true] {
        let records = records.clone();
        calls.push(Call::Reconcile(ReconcileCitizensRequest { context: context(), disclose, records }));
    }
    let personal_ids = vec![id(), former()];
    calls.push(Call::Register(RegisterInterestRequest { context: context(), personal_ids }));
    calls
}
