//! What a contribution says, shared by all who hold it: it is large, and nobody changes it.

use std::{ops::Deref, sync::Arc};

use dancu_proto::v1::Contribution;
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType},
};

/// A contribution; stored as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared(Arc<Contribution>);

impl Shared {
    /// The contribution, for whoever needs their own.
    #[must_use]
    pub fn into_inner(self) -> Contribution {
        Arc::unwrap_or_clone(self.0)
    }
}

impl From<Contribution> for Shared {
    fn from(contribution: Contribution) -> Shared {
        Shared(Arc::new(contribution))
    }
}

impl Deref for Shared {
    type Target = Contribution;

    fn deref(&self) -> &Contribution {
        &self.0
    }
}

impl Message for Shared {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.0.encode_raw(buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        Arc::make_mut(&mut self.0).merge_field(tag, wire_type, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn clear(&mut self) {
        *self = Shared::default();
    }
}
