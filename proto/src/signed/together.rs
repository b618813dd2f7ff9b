//! Many statements under one signature: what is signed is the root of a Merkle tree (RFC 9162, 2.1, with SHA-256)
//! whose leaves the statements are, and each has its path to it. One signature is made and one is checked, however
//! many they are, and each can still be shown by itself.

use ct_merkle::{HashableLeaf, InclusionProof, RootHash, digest::Update, mem_backed_tree::MemoryBackedTree};
use sha2::Sha256;

use super::{SignError, Statement, VerifyError, message, signed_by, validity_of};
use crate::{
    channel::SwappableIdentity,
    v1::{Signed, Together},
};

/// What the signature of a root is of.
const KIND: &str = "dancu.v1.Together";
/// Statements of one signature: a path has no more than sixteen hashes.
const MOST: usize = 1 << 16;
/// Bytes of a hash.
const HASH: usize = 32;

/// A leaf: the kind, a zero byte and the content, as a statement that is signed by itself has them.
struct Leaf<'a>(&'a Signed);

impl HashableLeaf for Leaf<'_> {
    fn hash<H: Update>(&self, hasher: &mut H) {
        hasher.update(self.0.kind.as_bytes());
        hasher.update(b"\0");
        hasher.update(&self.0.content);
    }
}

/// Signs statements with one signature.
///
/// # Errors
/// The key refuses.
pub fn sign_together<S: Statement>(
    statements: &[S],
    identity: &SwappableIdentity,
) -> Result<Vec<Signed>, SignError> {
    let unsigned = |statement: &S| Signed {
        kind: S::KIND.to_owned(),
        content: statement.encode_to_vec(),
        ..Signed::default()
    };
    under_one(statements.iter().map(unsigned).collect(), identity)
}

/// Puts one signature in the place of many, on those statements of a kind that the certificate of now can stand for.
/// The others, which were made when another one held, stay as they were signed.
///
/// # Errors
/// The key refuses.
pub fn gather<S: Statement>(
    mut signed: Vec<Signed>,
    identity: &SwappableIdentity,
) -> Result<Vec<Signed>, SignError> {
    let chain = identity.chain();
    let Some(certificate) = chain.first() else { return Ok(signed) };
    let Some(validity) = validity_of(certificate) else { return Ok(signed) };
    let holds = |one: &Signed| {
        let time = S::decode(one.content.as_slice()).ok().and_then(|statement| statement.time());
        one.kind == S::KIND && time.is_some_and(|time| validity.contains(&time))
    };
    let (places, ours): (Vec<_>, Vec<_>) =
        signed.iter().enumerate().filter(|(_, one)| holds(one)).map(|(at, one)| (at, one.clone())).unzip();
    let ours = under_one(ours, identity)?;
    // Another certificate may have come meanwhile: what it cannot stand for stays as it is.
    if ours.iter().all(|one| one.certificate == certificate.as_ref()) {
        places.into_iter().zip(ours).for_each(|(at, one)| signed[at] = one);
    }
    Ok(signed)
}

fn under_one(mut statements: Vec<Signed>, identity: &SwappableIdentity) -> Result<Vec<Signed>, SignError> {
    for some in statements.chunks_mut(MOST) {
        if let [alone] = some {
            (alone.certificate, alone.signature) = signed_by(identity, &alone.kind, &alone.content)?;
            alone.together = None;
            continue;
        }
        let togethers = paths(some);
        let of_root = togethers.first().map(root_of).unwrap_or_default();
        let (certificate, signature) = signed_by(identity, KIND, &of_root)?;
        for (statement, together) in some.iter_mut().zip(togethers) {
            statement.certificate.clone_from(&certificate);
            statement.signature.clone_from(&signature);
            statement.together = Some(together);
        }
    }
    Ok(statements)
}

/// The path of each from its leaf to the root.
fn paths(statements: &[Signed]) -> Vec<Together> {
    let mut tree = MemoryBackedTree::<Sha256, Leaf<'_>>::new();
    statements.iter().for_each(|one| tree.push(Leaf(one)));
    let (size, root) = (tree.len(), tree.root().as_bytes().to_vec());
    let path = |index| Together {
        size,
        index,
        root: root.clone(),
        path: tree.prove_inclusion(index as usize).as_bytes().to_vec(),
    };
    (0..size).map(path).collect()
}

/// What is signed of a root: how many leaves it has, and its hash.
fn root_of(together: &Together) -> Vec<u8> {
    [&together.size.to_be_bytes()[..], &together.root].concat()
}

/// What the signature of a statement has to be of: itself, or the root that it is shown to be under.
///
/// # Errors
/// It is not under that root.
pub(super) fn signed_message(signed: &Signed) -> Result<Vec<u8>, VerifyError> {
    let Some(together) = &signed.together else { return Ok(message(&signed.kind, &signed.content)) };
    let fits = (2..=MOST as u64).contains(&together.size)
        && together.index < together.size
        && together.path.len() <= 16 * HASH;
    let root: Option<[u8; HASH]> = together.root.as_slice().try_into().ok();
    let proof = InclusionProof::<Sha256>::try_from_bytes(together.path.clone()).ok();
    let (true, Some(root), Some(proof)) = (fits, root, proof) else { return Err(VerifyError::Signature) };
    RootHash::<Sha256>::new(root.into(), together.size)
        .verify_inclusion(&Leaf(signed), together.index, &proof)
        .map_err(|_| VerifyError::Signature)?;
    Ok(message(KIND, &root_of(together)))
}
