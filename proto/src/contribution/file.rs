//! The file of an outbox: what an office without a line carries to the hub, or to a node that has one. It
//! holds signed and sealed contributions as they are, so that it is safe to carry and counts once.
//!
//! A line that says what it is, and then each [`Signed`], as long as the varint before it says.

use std::io::{self, Read, Write};

use prost::Message;

use crate::v1::Signed;

/// The first line.
const HEADER: &[u8] = b"DANCU OUTBOX 1\n";
/// A contribution is smaller than this, bytes.
const LARGEST: usize = 4 << 20;

/// Writes a file.
///
/// # Errors
/// What the disk says.
pub fn write_file<'a>(
    mut to: impl Write,
    contributions: impl IntoIterator<Item = &'a Signed>,
) -> io::Result<()> {
    to.write_all(HEADER)?;
    for signed in contributions {
        to.write_all(&signed.encode_length_delimited_to_vec())?;
    }
    to.flush()
}

/// Reads a file.
///
/// # Errors
/// What the disk says, or that it is no such file, or not whole.
pub fn read_file(mut from: impl Read) -> io::Result<Vec<Signed>> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut header = vec![0; HEADER.len()];
    from.read_exact(&mut header).map_err(|_| damaged("it does not begin as the file of an outbox does"))?;
    if header != HEADER {
        return Err(damaged("it does not begin as the file of an outbox does"));
    }
    let mut found = Vec::new();
    while let Some(length) = length(&mut from)? {
        if length > LARGEST {
            return Err(damaged("a contribution is too large"));
        }
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes)
            .map_err(|_| damaged("it is not whole: the last contribution is cut off"))?;
        found.push(Signed::decode(bytes.as_slice()).map_err(|_| damaged("a contribution cannot be read"))?);
    }
    Ok(found)
}

/// A varint; nothing at the end.
fn length(from: &mut impl Read) -> io::Result<Option<usize>> {
    let (mut length, mut byte) = (0usize, [0; 1]);
    for place in 0..5 {
        if from.read(&mut byte)? == 0 {
            let whole = place == 0;
            let cut = || io::Error::new(io::ErrorKind::InvalidData, "it is not whole");
            return if whole { Ok(None) } else { Err(cut()) };
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * place);
        if byte[0] & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a length is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_and_a_cut_one_is_refused() {
        let signed = |n: u8| Signed { kind: "k".into(), content: vec![n; 300], ..Signed::default() };
        let all = [signed(1), signed(2)];
        let mut file = Vec::new();
        write_file(&mut file, &all).unwrap();
        assert_eq!(read_file(file.as_slice()).unwrap(), all);
        for cut in [5, HEADER.len() + 1, file.len() - 1] {
            assert!(read_file(&file[..cut]).is_err(), "{cut}");
        }
    }
}
