//! Slice keys: what each node's slice is sealed with. They are made of one secret of the hub and the
//! node's number, so that nothing need be kept for a node, and are the same for as long as it is on the roll.

use std::{fs, io, path::Path};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};
use dancu_proto::channel::file;
use zeroize::Zeroizing;

/// Bytes of the secret, and of a slice key.
const KEY: usize = 32;
/// What keys are derived for.
const SLICE: &str = "dancu hub 2026 slice keys";

/// The secret that slice keys are made of.
pub struct SliceKeys(Zeroizing<[u8; KEY]>);

impl SliceKeys {
    /// The secret in a file, made if there is none.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub fn open(path: &Path) -> io::Result<SliceKeys> {
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, "it does not hold the secret of slice keys");
        match fs::read_to_string(path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| damaged())?);
                let secret: [u8; KEY] = bytes.as_slice().try_into().map_err(|_| damaged())?;
                Ok(SliceKeys(Zeroizing::new(secret)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut secret = Zeroizing::new([0; KEY]);
                rand::fill(secret.as_mut()).map_err(|_| io::Error::other("there is no randomness"))?;
                let text = Zeroizing::new(STANDARD.encode(secret.as_ref()));
                file::replace(path, text.as_bytes(), file::SECRET)?;
                Ok(SliceKeys(secret))
            }
            Err(error) => Err(error),
        }
    }

    /// The key of a node, by the number that it has on the roll.
    pub(super) fn of(&self, node: u32) -> Vec<u8> {
        let key = blake3::derive_key(SLICE, self.0.as_ref());
        blake3::keyed_hash(&key, &node.to_be_bytes()).as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_gets_the_same_key_after_a_restart_and_no_other_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slice-keys");
        let keys = SliceKeys::open(&path).unwrap();
        let again = SliceKeys::open(&path).unwrap();
        assert_eq!(keys.of(1), again.of(1));
        assert_ne!(keys.of(1), keys.of(2));
        let other = SliceKeys::open(&dir.path().join("other")).unwrap();
        assert_ne!(keys.of(1), other.of(1));
        fs::write(&path, "?").unwrap();
        assert!(SliceKeys::open(&path).is_err());
    }
}
