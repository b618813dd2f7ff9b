//! What nodes signed, kept as it came: rows of the table `handed_in`. What travelled under one signature is one row,
//! however many contributions it is evidence for, and a certificate is kept once.

use std::sync::Arc;

use dancu_proto::v1::{Signed, SignedPart};
use prost::Message;
use sha2::{Digest, Sha256};

use super::handed_in::{HANDED_IN, HandedIn};
use crate::registry::{Rows, StoreError, View};

/// Names of rows: a part, by the hash of its signature; and a certificate, by its own.
const PART: u8 = b'e';
const CERTIFICATE: u8 = b'c';

/// What came under one signature, ready to be kept.
#[derive(Debug)]
pub struct Part {
    /// Where it is kept, without the kind.
    name: [u8; 32],
    signer: [u8; 32],
    certificate: Vec<u8>,
    /// The part, with the hash of the certificate in its place.
    row: Vec<u8>,
    /// Hashes of the statements.
    hashes: Vec<[u8; 32]>,
}

/// What proves of one contribution who made it.
#[derive(Clone, Debug)]
pub struct Evidence {
    part: Arc<Part>,
    place: u32,
}

impl Part {
    /// Of what was checked.
    #[must_use]
    pub fn of(mut part: SignedPart) -> Part {
        let (name, signer) = (Sha256::digest(&part.signature), Sha256::digest(&part.certificate));
        let certificate = std::mem::replace(&mut part.certificate, signer.to_vec());
        let hashes = part.contents.iter().map(|content| Sha256::digest(content).into()).collect();
        Part { name: name.into(), signer: signer.into(), certificate, row: part.encode_to_vec(), hashes }
    }

    /// For the contribution at a place in it.
    #[must_use]
    pub fn evidence(part: &Arc<Part>, place: u32) -> Evidence {
        Evidence { part: Arc::clone(part), place }
    }
}

impl Evidence {
    /// SHA-256 of the statement, as it was signed.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        self.part.hashes.get(self.place as usize).map(|hash| hash.to_vec()).unwrap_or_default()
    }

    /// Keeps it for a row, which says where.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn keep(&self, rows: &mut Rows<'_>, of: &mut HandedIn) -> Result<(), StoreError> {
        let Part { name, signer, certificate, row, .. } = &*self.part;
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
    let certificate = view.row(HANDED_IN, &[&[CERTIFICATE], &signed.certificate[..]].concat())?;
    Ok(Some(Signed { certificate: certificate.ok_or_else(damaged)?, ..signed }))
}
