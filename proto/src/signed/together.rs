//! Many statements under one signature: what is signed is the root of a Merkle tree (RFC 9162, 2.1, with SHA-256)
//! whose leaves the statements are, and each has its path to it. One signature is made and one is checked, however
//! many they are, and each can still be shown by itself.

use ct_merkle::{HashableLeaf, InclusionProof, RootHash, digest::Update, mem_backed_tree::MemoryBackedTree};
use sha2::Sha256;

use super::{SignError, Statement, VerifyError, message, validity_of};
use crate::{
    channel::SwappableIdentity,
    v1::{Signed, SignedBatch, SignedPart, Together},
};

/// What the signature of a root is of.
const KIND: &str = "dancu.v1.Together";
/// Statements of one signature: a path has no more than sixteen hashes.
pub(super) const MOST: usize = 1 << 16;
/// Bytes of a hash.
const HASH: usize = 32;

/// A leaf: the kind, a zero byte and the content, as a statement that is signed by itself has them.
struct Leaf<'a> {
    kind: &'a str,
    content: &'a [u8],
}

impl HashableLeaf for Leaf<'_> {
    fn hash<H: Update>(&self, hasher: &mut H) {
        hasher.update(self.kind.as_bytes());
        hasher.update(b"\0");
        hasher.update(self.content);
    }
}

/// The tree of statements of a kind.
pub(super) struct Tree<'a>(MemoryBackedTree<Sha256, Leaf<'a>>);

impl<'a> Tree<'a> {
    pub(super) fn of(kind: &'a str, contents: impl IntoIterator<Item = &'a Vec<u8>>) -> Tree<'a> {
        let mut tree = MemoryBackedTree::new();
        contents.into_iter().for_each(|content| tree.push(Leaf { kind, content }));
        Tree(tree)
    }

    /// Where one of the statements stands.
    pub(super) fn together(&self, index: usize) -> Together {
        let (size, root) = (self.0.len(), self.0.root().as_bytes().to_vec());
        let path = self.0.prove_inclusion(index).as_bytes().to_vec();
        Together { size, index: index as u64, root, path }
    }

    /// What is signed.
    pub(super) fn message(&self) -> Vec<u8> {
        message(KIND, &root_of(self.0.len(), self.0.root().as_bytes()))
    }
}

/// Signs statements with one signature.
///
/// # Errors
/// The key refuses.
pub fn sign_together<S: Statement>(
    statements: &[S],
    identity: &SwappableIdentity,
) -> Result<SignedBatch, SignError> {
    let sign = |some: &[S]| under_one(S::KIND, some.iter().map(S::encode_to_vec).collect(), identity);
    Ok(SignedBatch { parts: statements.chunks(MOST).map(sign).collect::<Result<_, _>>()? })
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
    let (places, ours): (Vec<_>, Vec<_>) = signed
        .iter()
        .enumerate()
        .filter(|(_, one)| holds(one))
        .map(|(at, one)| (at, one.content.clone()))
        .unzip();
    let mut contents = ours.into_iter();
    let (mut places, mut gathered) = (places.into_iter(), Vec::new());
    loop {
        let some: Vec<_> = contents.by_ref().take(MOST).collect();
        if some.is_empty() {
            break;
        }
        let part = under_one(S::KIND, some, identity)?;
        // Another certificate may have come meanwhile: what it cannot stand for stays as it is.
        if part.certificate != certificate.as_ref() {
            return Ok(signed);
        }
        gathered.extend(places.by_ref().zip(part.into_signed()));
    }
    gathered.into_iter().for_each(|(at, one)| signed[at] = one);
    Ok(signed)
}

/// Statements of a kind under one signature.
fn under_one(
    kind: &str,
    contents: Vec<Vec<u8>>,
    identity: &SwappableIdentity,
) -> Result<SignedPart, SignError> {
    let message = match &contents[..] {
        [alone] => message(kind, alone),
        many => Tree::of(kind, many).message(),
    };
    let (certificate, signature) = identity.sign(&message)?;
    let (kind, certificate) = (kind.to_owned(), certificate.to_vec());
    Ok(SignedPart { kind, contents, signature, certificate, together: None })
}

/// What is signed of a root: how many leaves it has, and its hash.
fn root_of(size: u64, root: &[u8]) -> Vec<u8> {
    [&size.to_be_bytes()[..], root].concat()
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
        .verify_inclusion(&Leaf { kind: &signed.kind, content: &signed.content }, together.index, &proof)
        .map_err(|_| VerifyError::Signature)?;
    Ok(message(KIND, &root_of(together.size, &together.root)))
}
