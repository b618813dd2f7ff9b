//! What a contribution says, shared by all who hold it: it is large, and nobody changes it.

use std::{ops::Deref, sync::Arc};

use dancu_proto::v1::Contribution;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType},
};

/// A contribution; stored as one.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Said>);

#[derive(Clone, Debug, Default)]
struct Said {
    contribution: Contribution,
    /// The same as bytes, made ready before its turn: there is one writer. None for one that was read.
    encoded: Option<Vec<u8>>,
}

impl Shared {
    /// The contribution, for whoever needs their own.
    #[must_use]
    pub fn into_inner(self) -> Contribution {
        Arc::unwrap_or_clone(self.0).contribution
    }
}

impl From<Contribution> for Shared {
    fn from(contribution: Contribution) -> Shared {
        let encoded = Some(contribution.encode_to_vec());
        Shared(Arc::new(Said { contribution, encoded }))
    }
}

impl Deref for Shared {
    type Target = Contribution;

    fn deref(&self) -> &Contribution {
        &self.0.contribution
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        self.0.contribution == other.0.contribution
    }
}

impl Message for Shared {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match &self.0.encoded {
            Some(encoded) => buf.put_slice(encoded),
            None => self.0.contribution.encode_raw(buf),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let said = Arc::make_mut(&mut self.0);
        said.encoded = None;
        said.contribution.merge_field(tag, wire_type, buf, context)
    }

    fn encoded_len(&self) -> usize {
        match &self.0.encoded {
            Some(encoded) => encoded.len(),
            None => self.0.contribution.encoded_len(),
        }
    }

    fn clear(&mut self) {
        *self = Shared::default();
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::Date;

    use super::*;

    const DAY: Date = Date { year: 2026, month: 3, day: 14 };

    #[test]
    fn one_that_was_read_says_what_was_written() {
        let said = Contribution { id: "a".into(), ..Contribution::default() };
        let shared = Shared::from(said.clone());
        let mut read = Shared::decode(&*shared.encode_to_vec()).unwrap();
        assert_eq!((&read, read.encode_to_vec()), (&shared, said.encode_to_vec()));
        // What was ready before is not what is read into it.
        let more = Contribution { effective_date: Some(DAY), ..Contribution::default() };
        read = Shared::from(read.into_inner());
        read.merge(&*more.encode_to_vec()).unwrap();
        assert_eq!(read.encode_to_vec(), Contribution { effective_date: Some(DAY), ..said }.encode_to_vec());
    }
}
