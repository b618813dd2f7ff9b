//! How records are found: an entry exists if and only if the held record has the value.

use dancu_proto::{
    Field, PersonalId, Record,
    v1::{Name, StringList},
};
use prost::Message;

use super::keys;

/// The index entries of a record.
pub(super) fn entries(id: PersonalId, record: &Record) -> Vec<Vec<u8>> {
    let mut entries = Vec::with_capacity(2);
    if let (Some(name), Some(birth)) = (value(record, Field::FullName), value(record, Field::DateOfBirth)) {
        let name: Name = name;
        entries.push(keys::name(&name.full(), &birth, id));
    }
    let old_number = record.value(Field::OldIdNumber).and_then(|number| std::str::from_utf8(number).ok());
    entries.extend(old_number.and_then(|number| keys::old_number(number, id)));
    let former: Option<StringList> = value(record, Field::FormerPersonalIds);
    for former in former.iter().flat_map(|list| &list.values) {
        entries.extend(former.parse().ok().map(|former| keys::former(former, id)));
    }
    entries
}

fn value<T: Message + Default>(record: &Record, field: Field) -> Option<T> {
    T::decode(record.value(field)?).ok()
}
