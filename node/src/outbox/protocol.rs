//! What is said to the hub, and what its answers change: without a line and without time, so that it can be
//! driven through everything that a line does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    sync::Arc,
};

use dancu_proto::{
    hub::v1::{
        BatchTaken, ContributionBatch, HubStanding, Mail, MailBatch, OutboxStanding,
        SubmitContributionsRequest, SubmitContributionsResponse, mail::Content,
        submit_contributions_request::Request, submit_contributions_response::Response,
    },
    v1::Signed,
};
use prost::Message;
use thiserror::Error;

use super::store::{Outbox, OutboxError};

/// Contributions of a batch.
const MANY: usize = 500;
/// Bytes of a batch, unless one is larger.
const BYTES: usize = 256 << 10;

/// Mail that is no outcome cannot be kept.
pub type MailError = Box<dyn std::error::Error + Send + Sync>;

/// Takes mail that is no outcome: tasks, cases and forms. The same may come twice; once it was taken it must
/// be on the disk.
pub trait MailSink: Send + Sync {
    /// Takes one thing.
    ///
    /// # Errors
    /// It cannot be kept now; it comes again.
    fn put(&self, mail: &Mail) -> Result<(), MailError>;

    /// Whether what was taken before is still here and can be read. Asked before more comes.
    ///
    /// # Errors
    /// The disk refuses.
    fn has_kept(&self) -> Result<bool, MailError> {
        Ok(true)
    }

    /// Forgets what was taken: all of it comes again.
    ///
    /// # Errors
    /// The disk refuses.
    fn begin_anew(&self) -> Result<(), MailError> {
        Ok(())
    }
}

/// Keeps nothing: a node that takes part in no procedure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discarded;

impl MailSink for Discarded {
    fn put(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// There is a new connection; whether the node can keep mail now.
    Connected {
        /// It is not sealed.
        mail: bool,
    },
    /// The hub said something.
    Response(SubmitContributionsResponse),
    /// Something was queued, or brought.
    Queued,
    /// The connection is gone.
    Disconnected,
}

/// The exchange cannot go on on this connection.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Mail.
    #[error("mail of the hub cannot be kept: {0}")]
    Mail(MailError),
    /// The hub has sent less than came here.
    #[error(
        "the hub was restored from an older copy: it has sent less mail than came here; all of it comes anew"
    )]
    MailTakenBack,
    /// The hub's mail is not whole.
    #[error("the hub's mail has not a receipt for each outcome")]
    Receipts,
    /// The hub said what it does not say there.
    #[error("the hub answers out of turn")]
    OutOfTurn,
}

/// What is under way to the hub.
enum Batch {
    /// Places of this outbox.
    Own(Vec<u64>),
    /// Keys of contributions that were brought.
    Brought(Vec<Vec<u8>>),
}

enum Phase {
    /// No connection.
    Apart,
    /// The hub was told where the outbox stands.
    Begun,
    /// The hub has said where it stands.
    InStep(Option<Batch>),
}

/// One side of the exchange. There is one for an outbox.
pub struct Protocol {
    outbox: Outbox,
    sink: Arc<dyn MailSink>,
    phase: Phase,
    /// Mail can be kept.
    mail: bool,
    refused: Refused,
}

/// What the hub refused on this connection. It stays in the outbox, and is sent again with the next one.
#[derive(Default)]
struct Refused {
    own: BTreeSet<u64>,
    brought: BTreeSet<Vec<u8>>,
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol")
    }
}

impl Protocol {
    /// Of an outbox; mail that is no outcome goes to a sink.
    #[must_use]
    pub fn new(outbox: Outbox, sink: Arc<dyn MailSink>) -> Protocol {
        Protocol { outbox, sink, phase: Phase::Apart, mail: false, refused: Refused::default() }
    }

    /// Whether a new connection is worth while: for what the hub refused on this one.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        !(self.refused.own.is_empty() && self.refused.brought.is_empty())
    }

    /// Whether the hub owes an answer.
    #[must_use]
    pub fn awaits(&self) -> bool {
        matches!(self.phase, Phase::Begun | Phase::InStep(Some(_)))
    }

    /// Something happens; what is to be said to the hub, in this order. What an answer changes is on the disk
    /// when this returns.
    ///
    /// # Errors
    /// The connection is to be given up; with the next one nothing is lost.
    pub fn step(&mut self, input: Input) -> Result<Vec<SubmitContributionsRequest>, ProtocolError> {
        let said = match input {
            Input::Disconnected => {
                self.phase = Phase::Apart;
                Vec::new()
            }
            Input::Connected { mail } => {
                (self.phase, self.mail, self.refused) = (Phase::Begun, mail, Refused::default());
                if mail && !self.sink.has_kept().map_err(ProtocolError::Mail)? {
                    // In this order: what breaks off in between is done again.
                    self.outbox.mail_begins_anew()?;
                    self.sink.begin_anew().map_err(ProtocolError::Mail)?;
                }
                let standing = self.outbox.standing();
                vec![Request::Begin(OutboxStanding {
                    outbox: standing.outbox.to_vec(),
                    last_sequence: standing.last_sequence,
                    mail_after: standing.mail,
                    no_mail: !mail,
                })]
            }
            Input::Queued => self.next()?,
            Input::Response(response) => match response.response {
                Some(Response::Standing(standing)) => self.standing(&standing)?,
                Some(Response::Taken(taken)) => self.taken(&taken)?,
                Some(Response::Mail(mail)) => self.mail(mail)?,
                // Of a later version.
                None => Vec::new(),
            },
        };
        Ok(said.into_iter().map(|request| SubmitContributionsRequest { request: Some(request) }).collect())
    }

    fn standing(&mut self, standing: &HubStanding) -> Result<Vec<Request>, ProtocolError> {
        if !matches!(self.phase, Phase::Begun) {
            return Err(ProtocolError::OutOfTurn);
        }
        if self.mail && standing.last_mail.is_some_and(|last| last < self.outbox.standing().mail) {
            self.sink.begin_anew().map_err(ProtocolError::Mail)?;
            self.outbox.mail_begins_anew()?;
            return Err(ProtocolError::MailTakenBack);
        }
        self.outbox.set_recipient(&standing.recipient)?;
        self.outbox.hub_stands(standing)?;
        self.phase = Phase::InStep(None);
        self.next()
    }

    fn taken(&mut self, taken: &BatchTaken) -> Result<Vec<Request>, ProtocolError> {
        let Phase::InStep(under_way) = &mut self.phase else { return Err(ProtocolError::OutOfTurn) };
        match mem::take(under_way) {
            Some(Batch::Own(places)) => {
                let (places, refused) = parted(places, taken);
                self.outbox.taken(&places)?;
                for place in refused {
                    // If the certificate is what the hub does not believe, there may be a better one by now.
                    if let Err(error) = self.outbox.sign_anew(place) {
                        tracing::error!(%error, "a contribution that the hub refuses cannot be signed anew");
                    }
                    self.refused.own.insert(place);
                }
            }
            Some(Batch::Brought(keys)) => {
                let (keys, refused) = parted(keys, taken);
                self.outbox.foreign_taken(&keys)?;
                self.refused.brought.extend(refused);
            }
            None => return Err(ProtocolError::OutOfTurn),
        }
        self.next()
    }

    /// The next batch, if none is under way.
    fn next(&mut self) -> Result<Vec<Request>, ProtocolError> {
        let Phase::InStep(under_way @ None) = &mut self.phase else { return Ok(Vec::new()) };
        let (places, mut contributions) = own(&self.outbox, &self.refused.own)?;
        let batch = if places.is_empty() {
            let (keys, brought) = self.outbox.foreign(MANY, BYTES, &self.refused.brought)?;
            contributions = brought;
            Batch::Brought(keys)
        } else {
            Batch::Own(places)
        };
        if contributions.is_empty() {
            return Ok(Vec::new());
        }
        *under_way = Some(batch);
        let last_sequence = self.outbox.standing().last_sequence;
        let contributions = Some(contributions.into());
        Ok(vec![Request::Batch(ContributionBatch { contributions, last_sequence })])
    }

    /// Mail: what is no outcome first, then the outcomes with the number up to which it has come.
    fn mail(&mut self, batch: MailBatch) -> Result<Vec<Request>, ProtocolError> {
        if !matches!(self.phase, Phase::InStep(_)) {
            return Err(ProtocolError::OutOfTurn);
        }
        let (mut number, mut outcomes) = (self.outbox.standing().mail, Vec::new());
        let mut receipts = batch.receipts.map(|receipts| receipts.into_signed().into_iter());
        for mut mail in batch.mail {
            if let (Some(Content::Outcome(outcome)), Some(receipts)) = (&mut mail.content, &mut receipts) {
                outcome.receipt = Some(receipts.next().ok_or(ProtocolError::Receipts)?);
            }
            if mail.number <= number {
                continue;
            }
            number = mail.number;
            match mail.content {
                Some(Content::Outcome(outcome)) => outcomes.push(outcome),
                Some(_) => self.sink.put(&mail).map_err(ProtocolError::Mail)?,
                None => {}
            }
        }
        self.outbox.mail(outcomes, number)?;
        Ok(vec![Request::MailReceived(number)])
    }
}

/// A batch as the hub has taken it: what it has, and what it refused.
fn parted<T>(batch: Vec<T>, taken: &BatchTaken) -> (Vec<T>, Vec<T>) {
    let why: BTreeMap<_, _> = taken.refused.iter().map(|one| (one.index as usize, &one.message)).collect();
    let (mut has, mut refused) = (Vec::new(), Vec::new());
    for (index, one) in batch.into_iter().enumerate() {
        match why.get(&index) {
            None => has.push(one),
            Some(why) => {
                tracing::error!(
                    why,
                    "the hub does not take a contribution over; it is kept, and sent again later"
                );
                refused.push(one);
            }
        }
    }
    (has, refused)
}

/// Contributions of an outbox that follow each other, from the first that the hub is not known to have.
fn own(outbox: &Outbox, refused: &BTreeSet<u64>) -> Result<(Vec<u64>, Vec<Signed>), OutboxError> {
    let (mut places, mut found, mut size) = (Vec::new(), Vec::<Signed>::new(), 0);
    for place in outbox.unsent(0) {
        let place = place?;
        if refused.contains(&place) {
            continue;
        }
        let gap = places.last().is_some_and(|last| last + 1 != place);
        if gap || places.len() >= MANY {
            break;
        }
        let signed = outbox.to_send(place)?;
        let signed = signed.ok_or(OutboxError::Damaged("a place in the queue is empty"))?;
        size += signed.encoded_len();
        if size > BYTES && !found.is_empty() {
            break;
        }
        places.push(place);
        found.push(signed);
    }
    Ok((places, outbox.together(found)))
}
