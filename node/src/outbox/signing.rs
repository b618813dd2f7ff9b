//! What is signed is believed only if the certificate of then held at the time that it says. Where the clock
//! was wrong or the certificate had run out, it is signed anew before it is handed on.

use dancu_proto::{
    signed::{is_untimely, validity},
    v1::{QueuedContribution, Signed},
};
use prost::Message;
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::{
    rows::{self, QueueRow},
    store::{Outbox, OutboxError},
};

impl Outbox {
    /// What was signed and has no outcome yet, after a place, in order, each with its own: what goes into a file.
    pub fn export(&self, after: u64) -> impl Iterator<Item = Result<(u64, Signed), OutboxError>> + '_ {
        let signed = |place| self.to_send(place).map(|signed| signed.map(|signed| (place, signed)));
        // One that was concluded meanwhile is not there any more.
        let places = self.places(after.saturating_add(1));
        places.filter_map(move |place| place.and_then(signed).transpose())
    }

    /// What stands at a place, as it can be believed; none if nothing does.
    pub(super) fn to_send(&self, sequence: u64) -> Result<Option<Signed>, OutboxError> {
        let Some((_, signed)) = self.queued(sequence)? else { return Ok(None) };
        if is_untimely::<QueuedContribution>(&signed) { self.sign_anew(sequence) } else { Ok(Some(signed)) }
    }

    /// Signs what stands at a place with the certificate of now. What was sealed, and for which place, stays.
    pub(super) fn sign_anew(&self, sequence: u64) -> Result<Option<Signed>, OutboxError> {
        let now = (self.0.setup.clock)();
        self.change(|draft| {
            // It may have been concluded meanwhile.
            let Some((id, before)) = self.queued(sequence)? else { return Ok(None) };
            let queued = QueuedContribution::decode(&before.content[..]);
            let queued = queued.map_err(|_| OutboxError::Damaged("a contribution in the queue"))?;
            let mut signed = self.sign(&queued, now)?;
            // A certificate is older than what is signed with it: where it is not, the clock is slow.
            if let Some(since) =
                validity(&signed).map(|validity| *validity.start()).filter(|since| now < *since)
            {
                signed = self.sign(&queued, since)?;
            }
            let row = QueueRow { id: id.as_bytes().to_vec(), signed: signed.encode_to_vec() };
            draft.batch.put(rows::numbered(rows::QUEUE, sequence), row.encode_to_vec());
            Ok(Some(signed))
        })
    }

    /// What goes to the hub together, with one signature where the certificate of now can stand for it: one is
    /// checked then, however many they are. In the outbox each keeps its own.
    pub(super) fn together(&self, signed: Vec<Signed>) -> Vec<Signed> {
        if signed.len() < 2 {
            return signed;
        }
        (self.0.setup.gather)(signed.clone()).unwrap_or_else(|error| {
            tracing::error!(%error, "what goes to the hub cannot be signed together");
            signed
        })
    }

    /// Signs what was sealed for its place, as of a time.
    pub(super) fn sign(
        &self,
        queued: &QueuedContribution,
        at: OffsetDateTime,
    ) -> Result<Signed, OutboxError> {
        let time = Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond() as i32 };
        let signed = (self.0.setup.sign)(&QueuedContribution { time: Some(time), ..queued.clone() });
        signed.map_err(|error| OutboxError::Sealing(error.to_string()))
    }
}
