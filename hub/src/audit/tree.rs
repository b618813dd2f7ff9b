//! The Merkle tree over all records (RFC 6962, 2.1), on nodes that lie elsewhere. They are numbered in
//! the order of RFC 9420's array-based trees, as `ct-merkle` has them, so that its lists of indices
//! make the proofs and its verifier checks them.

use ct_merkle::{
    ConsistencyProof, InclusionProof, RootHash, indices_for_consistency_proof, indices_for_inclusion_proof,
};
use sha2::{Digest, Sha256, digest::Output};

use crate::registry::StoreError;

/// Bytes of a hash.
pub(super) const HASH: usize = 32;
/// A hash.
pub(super) type Hash = [u8; HASH];

/// Where the hashes of the tree's nodes lie.
pub(super) trait Nodes {
    /// The hash of a node.
    fn node(&self, index: u64) -> Result<Hash, StoreError>;
}

/// The hash of a leaf.
pub(super) fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

fn parent_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves.
pub(super) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Appends leaves to a tree of `size` leaves: tells every node that is new or changed, and returns the
/// root. Costs two hashes for each leaf, and one for each level.
pub(super) fn append(
    nodes: &impl Nodes,
    size: u64,
    leaves: Vec<Hash>,
    mut put: impl FnMut(u64, &Hash),
) -> Result<Hash, StoreError> {
    let grown = size + leaves.len() as u64;
    if leaves.is_empty() {
        return if size == 0 { Ok(empty_root()) } else { nodes.node(root_index(size)) };
    }
    for (index, hash) in (size..).zip(&leaves) {
        put(2 * index, hash);
    }
    // The hashes of one level that changed, from `first` on.
    let (mut first, mut changed) = (size, leaves);
    let mut level = 0;
    while (1 << level) < grown {
        let last = first + changed.len() as u64 - 1;
        let at = |place: u64| match place.checked_sub(first).and_then(|at| changed.get(at as usize)) {
            Some(hash) => Ok(*hash),
            // Left of what changed there are whole subtrees alone.
            None => nodes.node(node_index(level, place)),
        };
        let parents = (first / 2..=last / 2).map(|place| {
            let (left, right) = (at(2 * place)?, 2 * place + 1);
            // What has no sibling yet stands for itself one level up.
            if right << level >= grown {
                return Ok(left);
            }
            let hash = parent_hash(&left, &at(right)?);
            put(node_index(level + 1, place), &hash);
            Ok(hash)
        });
        changed = parents.collect::<Result<_, StoreError>>()?;
        (first, level) = (first / 2, level + 1);
    }
    Ok(changed[0])
}

/// The number of a node: the `place`-th of its level.
fn node_index(level: u32, place: u64) -> u64 {
    (place << (level + 1)) + (1 << level) - 1
}

fn root_index(size: u64) -> u64 {
    (1 << (2 * size - 1).ilog2()) - 1
}

/// The proof that a leaf is in a tree of `size` leaves: the hashes beside its way to the root.
pub(super) fn inclusion(nodes: &impl Nodes, size: u64, leaf: u64) -> Result<Vec<u8>, StoreError> {
    hashes(nodes, indices_for_inclusion_proof(size, leaf))
}

/// The proof that a tree of `size` leaves begins with that of `old` leaves.
pub(super) fn consistency(nodes: &impl Nodes, old: u64, size: u64) -> Result<Vec<u8>, StoreError> {
    // Every tree begins with an empty one and with itself.
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    hashes(nodes, indices_for_consistency_proof(old, size - old))
}

fn hashes(nodes: &impl Nodes, indices: Vec<u64>) -> Result<Vec<u8>, StoreError> {
    let mut proof = Vec::with_capacity(indices.len() * HASH);
    for index in indices {
        proof.extend(nodes.node(index)?);
    }
    Ok(proof)
}

/// Whether a proof shows that a leaf is at its place in the tree with a root.
#[must_use]
pub fn includes(root: &[u8; HASH], size: u64, leaf: &[u8], index: u64, proof: &[u8]) -> bool {
    let Ok(proof) = InclusionProof::<Sha256>::try_from_bytes(proof.to_vec()) else { return false };
    index < size && root_hash(root, size).verify_inclusion(&leaf, index, &proof).is_ok()
}

/// Whether a proof shows that a tree begins with an older one.
#[must_use]
pub fn extends(new: (&[u8; HASH], u64), old: (&[u8; HASH], u64), proof: &[u8]) -> bool {
    if old.1 == 0 {
        return *old.0 == empty_root();
    }
    if old.1 >= new.1 {
        return old == new;
    }
    let Ok(proof) = ConsistencyProof::<Sha256>::try_from_bytes(proof.to_vec()) else { return false };
    root_hash(new.0, new.1).verify_consistency(&root_hash(old.0, old.1), &proof).is_ok()
}

fn root_hash(root: &Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(Output::<Sha256>::from(*root), size)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    #[derive(Default)]
    struct Memory(HashMap<u64, Hash>);

    impl Nodes for Memory {
        fn node(&self, index: u64) -> Result<Hash, StoreError> {
            self.0.get(&index).copied().ok_or(StoreError::Corrupt("a node of a test"))
        }
    }

    fn leaf(index: u64) -> Vec<u8> {
        format!("leaf {index}").into_bytes()
    }

    fn grow(memory: &mut Memory, size: u64, by: u64) -> Hash {
        let leaves = (size..size + by).map(|index| leaf_hash(&leaf(index))).collect();
        let mut put = Vec::new();
        let root = append(memory, size, leaves, |index, hash| put.push((index, *hash))).unwrap();
        memory.0.extend(put);
        root
    }

    #[test]
    fn the_tree_is_that_of_the_crate_at_every_size_however_it_grew() {
        for step in [1, 2, 3, 7, 64, 200] {
            let (mut memory, mut model) = (Memory::default(), MemoryBackedTree::<Sha256, Vec<u8>>::new());
            assert_eq!(empty_root(), <Hash>::from(*model.root().as_bytes()));
            let mut roots = vec![(empty_root(), 0)];
            let mut size = 0;
            while size < 200 {
                let by = step.min(200 - size);
                let root = grow(&mut memory, size, by);
                (size..size + by).for_each(|index| model.push(leaf(index)));
                size += by;
                assert_eq!(root, <Hash>::from(*model.root().as_bytes()), "{size} by {step}");
                assert_eq!(append(&memory, size, Vec::new(), |_, _| ()).unwrap(), root);
                for index in (0..size).step_by(1 + size as usize / 9) {
                    let proof = inclusion(&memory, size, index).unwrap();
                    assert_eq!(proof, model.prove_inclusion(index as usize).as_bytes());
                    assert!(includes(&root, size, &leaf(index), index, &proof));
                    assert!(!includes(&root, size, &leaf(index + 1), index, &proof));
                    assert!(!includes(&root, size, &leaf(index), size, &proof));
                }
                for (old, old_size) in &roots {
                    let proof = consistency(&memory, *old_size, size).unwrap();
                    assert!(extends((&root, size), (old, *old_size), &proof), "{old_size} to {size}");
                    assert!(!extends((&root, size), (&leaf_hash(b"other"), *old_size), &proof));
                }
                roots.push((root, size));
            }
        }
    }
}
