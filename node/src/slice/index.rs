//! How records are found: an entry exists if and only if the held record has the value.

use dancu_proto::{
    Field, Record,
    v1::{Date, Name, StringList},
};
use prost::Message;

use super::{
    cipher::Cipher,
    keys::{self, Person},
};

/// The index entries of a record.
pub(super) fn entries(cipher: &Cipher, person: &Person, record: &Record) -> Vec<Vec<u8>> {
    let mut entries = Vec::with_capacity(2);
    if let (Some(name), Some(birth)) = (value(record, Field::FullName), value(record, Field::DateOfBirth)) {
        let (name, birth): (Name, Date) = (name, birth);
        entries.push(keys::name(cipher, &name.full(), birth.year, person));
    }
    let old_number = record.value(Field::OldIdNumber).and_then(|number| std::str::from_utf8(number).ok());
    entries.extend(old_number.map(|number| keys::old_number(cipher, number, person)));
    let former: Option<StringList> = value(record, Field::FormerPersonalIds);
    for former in former.iter().flat_map(|list| &list.values) {
        entries.extend(former.parse().ok().map(|former| keys::former(cipher, former, person)));
    }
    entries
}

fn value<T: Message + Default>(record: &Record, field: Field) -> Option<T> {
    T::decode(record.value(field)?).ok()
}
