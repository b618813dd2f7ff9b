//! Frames of changes: encoded together, compressed where it pays, checked for size.

mod columns;

use prost::Message;
use thiserror::Error;

use crate::{
    hub::v1::{ChangeFrame, ChangeList, Compression},
    record::parts,
};

/// A frame is at most this long once decompressed, bytes.
pub const MAX_RAW: usize = 8 << 20;

/// A frame has at most this many changes: one takes much more memory than the least that it takes in a frame.
pub const MAX_CHANGES: usize = MAX_RAW / 32;

/// Below this many bytes compression saves less than its header costs.
const WORTH_COMPRESSING: usize = 256;

/// From this many changes on it pays to lay them out by field.
const MANY: usize = 64;

/// From this many bytes on a frame carries a checksum.
const CHECKED: usize = 16 << 10;

/// Zstandard level: the fastest that still finds the repetition between records.
const LEVEL: i32 = 1;

/// A frame cannot be read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// Larger than allowed.
    #[error("a frame of {0} bytes is over the limit of {MAX_RAW}")]
    TooLarge(usize),
    /// More changes than allowed.
    #[error("a frame of {0} changes is over the limit of {MAX_CHANGES}")]
    TooMany(usize),
    /// Unknown compression, or damaged.
    #[error("a frame cannot be decompressed")]
    Compression,
    /// Not changes by field.
    #[error("a frame is not a list of changes laid out by field")]
    Layout,
    /// Not a list of changes.
    #[error("a frame is not a list of changes")]
    Encoding(#[from] prost::DecodeError),
}

/// Packs changes into a frame.
#[must_use]
pub fn pack(changes: &ChangeList) -> ChangeFrame {
    if changes.changes.len() >= MANY
        && let Some(layout) = columns::split(changes)
        && let Ok(packed) = compress(&layout)
    {
        let raw_size = layout.len() as u32;
        return ChangeFrame { payload: packed.into(), compression: Compression::Columns.into(), raw_size };
    }
    let raw = changes.encode_to_vec();
    let raw_size = raw.len() as u32;
    if raw.len() >= WORTH_COMPRESSING
        && let Ok(packed) = compress(&raw)
        && packed.len() < raw.len()
    {
        return ChangeFrame { payload: packed.into(), compression: Compression::Zstd.into(), raw_size };
    }
    ChangeFrame { payload: raw.into(), compression: Compression::Unspecified.into(), raw_size }
}

/// Large frames carry a checksum of their contents (RFC 8878, 3.1.1): what is written to a disk should
/// be what was read from one, whatever the memory in between does.
fn compress(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(raw.len() >= CHECKED)?;
    let mut packed = compressor.compress(raw)?;
    // Made as large as it could have become; a frame may wait long for a slow line.
    packed.shrink_to_fit();
    Ok(packed)
}

/// Unpacks a frame.
///
/// # Errors
/// If it is too large, damaged or of an unknown kind.
pub fn unpack(frame: &ChangeFrame) -> Result<ChangeList, FrameError> {
    let size = frame.raw_size as usize;
    if size > MAX_RAW {
        return Err(FrameError::TooLarge(size));
    }
    match Compression::try_from(frame.compression) {
        Ok(Compression::Unspecified) => list(&frame.payload),
        Ok(Compression::Zstd) => list(&decompress(frame, size)?),
        Ok(Compression::Columns) => columns::join(&decompress(frame, size)?).ok_or(FrameError::Layout),
        Err(_) => Err(FrameError::Compression),
    }
}

/// Changes one after the other. They are counted first: one that says nothing has two bytes here.
fn list(raw: &[u8]) -> Result<ChangeList, FrameError> {
    if raw.len() > MAX_RAW {
        return Err(FrameError::TooLarge(raw.len()));
    }
    let count = parts(raw).count();
    if count > MAX_CHANGES {
        return Err(FrameError::TooMany(count));
    }
    Ok(ChangeList::decode(raw)?)
}

fn decompress(frame: &ChangeFrame, size: usize) -> Result<Vec<u8>, FrameError> {
    zstd::bulk::decompress(&frame.payload, size).map_err(|_| FrameError::Compression)
}

#[cfg(test)]
mod tests {
    use prost::encoding::encode_varint;

    use super::*;
    use crate::hub::v1::Change;

    #[test]
    fn a_frame_comes_back_as_it_was() {
        for count in [0, 1, 1000] {
            let text = crate::v1::Citizen { email: "x".repeat(40), ..Default::default() };
            let set = crate::Record::encode(&text).as_bytes().to_vec();
            let changes =
                (0..count).map(|i| Change { personal_id: i, set: set.clone(), ..Change::default() });
            let list = ChangeList { changes: changes.collect() };
            let frame = pack(&list);
            assert_eq!(unpack(&frame).unwrap(), list);
            assert!(count < 1000 || frame.payload.len() < 20_000);
        }
    }

    #[test]
    fn a_large_frame_with_a_flipped_bit_is_refused() {
        let texts = (0..2_000_u64).map(|i| Change {
            personal_id: i,
            set: blake3::hash(&i.to_be_bytes()).as_bytes().to_vec(),
            ..Change::default()
        });
        let frame = pack(&ChangeList { changes: texts.collect() });
        for place in (20..frame.payload.len()).step_by(997) {
            let mut payload = frame.payload.to_vec();
            payload[place] ^= 4;
            let spoilt = ChangeFrame { payload: payload.into(), ..frame.clone() };
            assert!(unpack(&spoilt).is_err(), "at {place}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let raw = vec![0u8; MAX_RAW + 1];
        let frame = ChangeFrame {
            payload: zstd::bulk::compress(&raw, 1).unwrap().into(),
            compression: Compression::Zstd.into(),
            raw_size: 100,
        };
        assert!(matches!(unpack(&frame), Err(FrameError::Compression)));
        let frame = ChangeFrame { raw_size: u32::MAX, ..frame };
        assert!(matches!(unpack(&frame), Err(FrameError::TooLarge(_))));
        let payload = vec![0; MAX_RAW + 1].into();
        let frame = ChangeFrame { payload, ..ChangeFrame::default() };
        assert!(matches!(unpack(&frame), Err(FrameError::TooLarge(_))));
    }

    #[test]
    fn changes_that_say_nothing_do_not_fill_the_memory() {
        let count = MAX_CHANGES + 1;
        let frame = |raw: &[u8], compression: Compression| ChangeFrame {
            payload: compress(raw).unwrap().into(),
            compression: compression.into(),
            raw_size: raw.len() as u32,
        };
        let whole = [0x0A, 0].repeat(count);
        assert!(
            matches!(unpack(&frame(&whole, Compression::Zstd)), Err(FrameError::TooMany(n)) if n == count)
        );
        let mut columns = Vec::new();
        for column in 0..3 {
            columns.push(column);
            encode_varint(count as u64, &mut columns);
            columns.resize(columns.len() + count, 0);
        }
        assert!(matches!(unpack(&frame(&columns, Compression::Columns)), Err(FrameError::Layout)));
    }
}
