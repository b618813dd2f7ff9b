//! Frames of changes from the hub: what is packed is unpacked the same, and what is unpacked takes so much
//! memory and no more, whatever was packed.

use dancu_proto::{
    frame::{MAX_CHANGES, MAX_RAW, pack, unpack},
    hub::v1::{ChangeFrame, ChangeList, Compression},
};
use prost::Message;

use super::input::Input;

/// A choice, and a frame, a payload, or what is compressed in one.
pub fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, wrong) = (input.byte() % 5, input.byte());
    let rest = input.rest();
    let frame = match choice {
        0 => match ChangeFrame::decode(rest) {
            Ok(frame) => frame,
            Err(_) => return,
        },
        1 => made(rest, Compression::Unspecified, 0),
        2 => made(&compressed(rest), Compression::Zstd, rest.len()),
        3 => made(&compressed(rest), Compression::Columns, rest.len()),
        _ => {
            if let Ok(list) = ChangeList::decode(rest) {
                comes_back(&list);
            }
            return;
        }
    };
    // A byte in the middle that is another one.
    let mut frame = frame;
    if wrong > 0 && !frame.payload.is_empty() {
        let mut payload = frame.payload.to_vec();
        let place = usize::from(wrong) * 7 % payload.len();
        payload[place] ^= wrong;
        frame.payload = payload.into();
    }
    if let Ok(list) = unpack(&frame) {
        comes_back(&list);
    }
}

fn made(payload: &[u8], compression: Compression, raw_size: usize) -> ChangeFrame {
    ChangeFrame {
        payload: payload.to_vec().into(),
        compression: compression.into(),
        raw_size: raw_size.try_into().unwrap(),
    }
}

fn compressed(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, 1).unwrap()
}

fn comes_back(list: &ChangeList) {
    assert!(list.changes.len() <= MAX_CHANGES, "{} changes", list.changes.len());
    // By field a change may take a little more than as a whole.
    if list.encoded_len() < MAX_RAW / 2 {
        assert_eq!(unpack(&pack(list)).as_ref().ok(), Some(list));
    }
}
