//! What nodes signed, kept as it came: rows of the table `handed_in`. What travelled under one signature is one row,
//! however many contributions it is evidence for, and a certificate is kept once.

use std::sync::Arc;

use dancu_proto::v1::{Signed, SignedPart};
use prost::Message;
use sha2::{Digest, Sha256};

use super::handed_in::{HANDED_IN, HandedIn};
use crate::registry::{Rows, StoreError, View};

/// Names of rows: a part, and a certificate, each by its hash.
const PART: u8 = b'e';
const CERTIFICATE: u8 = b'c';

/// What came under one signature, ready to be kept.
#[derive(Debug)]
struct Part {
    /// Hash of the row.
    name: [u8; 32],
    signer: [u8; 32],
    certificate: Vec<u8>,
    /// The part, with the hash of the certificate in its place.
    row: Vec<u8>,
}

/// What proves of one contribution who made it.
#[derive(Clone, Debug)]
pub struct Evidence {
    part: Arc<Part>,
    place: u32,
    hash: [u8; 32],
}

impl Part {
    fn of(mut part: SignedPart) -> Part {
        let signer = sha256(&part.certificate);
        let certificate = std::mem::replace(&mut part.certificate, signer.to_vec());
        let row = part.encode_to_vec();
        Part { name: sha256(&row), signer, certificate, row }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Evidence {
    /// Of each statement of a part, in their order: the part as it came, if all of it is to be kept, and otherwise
    /// each by itself.
    #[must_use]
    pub fn of(mut part: SignedPart, all: bool) -> Vec<Evidence> {
        let hashes: Vec<_> = part.contents.iter().map(|content| sha256(content)).collect();
        if part.contents.len() > 1 {
            // It means something of one that is alone.
            part.together = None;
        }
        let with = |part, place, hash| Evidence { part, place, hash };
        if all {
            let part = Arc::new(Part::of(part));
            return (0..).zip(hashes).map(|(place, hash)| with(Arc::clone(&part), place, hash)).collect();
        }
        let alone = part.into_signed().into_iter().map(|one| Arc::new(Part::of(one.into())));
        alone.zip(hashes).map(|(part, hash)| with(part, 0, hash)).collect()
    }

    /// SHA-256 of the statement, as it was signed.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Keeps it for a row, which says where.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn keep(&self, rows: &mut Rows<'_>, of: &mut HandedIn) -> Result<(), StoreError> {
        let Part { name, signer, certificate, row } = &*self.part;
        (of.evidence, of.evidence_place) = (name.to_vec(), self.place);
        for (kind, name, row) in [(CERTIFICATE, signer, certificate), (PART, name, row)] {
            let name = [&[kind][..], name].concat();
            if !rows.has(HANDED_IN, &name)? {
                rows.put(HANDED_IN, name, row.clone());
            }
        }
        Ok(())
    }
}

/// What a node signed, as it came.
///
/// # Errors
/// If the disk refuses, or a row is damaged.
pub fn evidence(view: &View<'_>, of: &HandedIn) -> Result<Option<Signed>, StoreError> {
    let damaged = || StoreError::Corrupt("the evidence of a contribution");
    let Some(row) = view.row(HANDED_IN, &[&[PART], &of.evidence[..]].concat())? else { return Ok(None) };
    let part = SignedPart::decode(row.as_slice()).map_err(|_| damaged())?;
    let signed = part.signed(of.evidence_place as usize).ok_or_else(damaged)?;
    if sha256(&signed.content)[..] != of.hash[..] {
        return Err(damaged());
    }
    let certificate = view.row(HANDED_IN, &[&[CERTIFICATE], &signed.certificate[..]].concat())?;
    Ok(Some(Signed { certificate: certificate.ok_or_else(damaged)?, ..signed }))
}
