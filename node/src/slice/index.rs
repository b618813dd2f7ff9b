//! How records are found: an entry exists if and only if the held record has the value.

use dancu_proto::{Field, FieldSet, PersonalId, Record};

use super::keys;

/// The index entries of a record.
pub(super) fn entries(id: PersonalId, record: &Record) -> Vec<Vec<u8>> {
    let indexed: FieldSet =
        [Field::FullName, Field::DateOfBirth, Field::OldIdNumber, Field::FormerPersonalIds]
            .into_iter()
            .collect();
    let Ok(citizen) = record.project(indexed).record().decode() else { return Vec::new() };
    let mut entries = Vec::with_capacity(2);
    if let (Some(name), Some(birth)) = (&citizen.full_name, &citizen.date_of_birth) {
        entries.push(keys::name(&name.full(), birth, id));
    }
    entries.extend(keys::old_number(&citizen.old_id_number, id));
    for former in citizen.former_personal_ids.iter().flat_map(|list| &list.values) {
        entries.extend(former.parse().ok().map(|former| keys::former(former, id)));
    }
    entries
}
