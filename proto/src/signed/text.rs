//! A statement as text, for a file.

use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;

use super::VerifyError;
use crate::v1::Signed;

/// The armour of a statement in a file.
const ARMOUR: (&str, &str) = ("-----BEGIN DANCU STATEMENT-----", "-----END DANCU STATEMENT-----");
/// Characters of a line, as RFC 7468 has them.
const LINE: usize = 64;

impl Signed {
    /// As text for a file: Base64 between two lines, as RFC 7468 has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let packed = STANDARD.encode(self.encode_to_vec());
        let mut text = format!("{}\n", ARMOUR.0);
        for line in packed.as_bytes().chunks(LINE) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text + ARMOUR.1 + "\n"
    }

    /// From text.
    ///
    /// # Errors
    /// It is not such a text.
    pub fn from_text(text: &str) -> Result<Signed, VerifyError> {
        let (_, rest) = text.split_once(ARMOUR.0).ok_or(VerifyError::Content)?;
        let (packed, _) = rest.split_once(ARMOUR.1).ok_or(VerifyError::Content)?;
        let packed: String = packed.split_whitespace().collect();
        let bytes = STANDARD.decode(packed).map_err(|_| VerifyError::Content)?;
        Signed::decode(bytes.as_slice()).map_err(|_| VerifyError::Content)
    }
}
