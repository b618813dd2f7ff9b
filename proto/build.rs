//! Compiles the `.proto` files with `protox`, so that no `protoc` need be installed.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message;

const FILES: &[&str] = &[
    "dancu/v1/citizen.proto",
    "dancu/v1/access.proto",
    "dancu/v1/area.proto",
    "dancu/v1/signed.proto",
    "dancu/v1/access_log.proto",
    "dancu/v1/notice.proto",
    "dancu/v1/procedure.proto",
    "dancu/v1/contribution.proto",
    "dancu/node/v1/citizen_service.proto",
    "dancu/node/v1/interest_service.proto",
    "dancu/node/v1/node_service.proto",
    "dancu/node/v1/notice_service.proto",
    "dancu/node/v1/contribution_service.proto",
    "dancu/node/v1/outbox_service.proto",
    "dancu/node/v1/procedure_service.proto",
    "dancu/hub/v1/enrollment_service.proto",
    "dancu/hub/v1/sync_service.proto",
    "dancu/hub/v1/intake_service.proto",
    "dancu/hub/v1/review_service.proto",
    "dancu/hub/v1/case_service.proto",
    "dancu/hub/v1/lookup_service.proto",
    "dancu/hub/v1/notice_service.proto",
    "dancu/hub/v1/audit_service.proto",
    "dancu/hub/v1/areas.proto",
    "dancu/hub/v1/admin_service.proto",
];

/// Messages a person reads and writes as JSON: the citizen, the contribution, and their parts. `Name` and
/// `Date` have a text form of their own (`src/json.rs`).
const JSON: &[&str] = &[
    "Citizen",
    "Address",
    "RegisteredArea",
    "Relative",
    "IdentityCard",
    "TemporaryResidence",
    "TemporaryAbsence",
    "AccessContext",
    "Contribution",
    "Document",
    "CaseRequest",
    "TaskAnswer",
    "Birth",
    "Death",
    "Couple",
    "Adoption",
    "ParentRecognised",
    "CivilStatusCorrected",
    "Persons",
    "HouseholdMember",
    "PermanentResidence",
    "TemporaryStay",
    "Absence",
    "HouseholdHeadChanged",
    "IdentityCardIssued",
    "OldNumberLinked",
    "BloodType",
    "Contact",
    "NumberReestablished",
    "RecordsMerged",
    "Correction",
];

/// What stands in JSON as what is in it: lists as plain arrays, and one of several as the one.
const JSON_PLAIN: &[&str] = &["StringList", "RelativeList", "IdentityCardList", "Event", "PersonRef"];

/// One of several, which JSON tells by name.
const JSON_ONE_OF: &[&str] = &["Event.event", "PersonRef.by"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=dancu");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config =
        tonic_prost_build::configure().bytes(".dancu.hub.v1.ChangeFrame").bytes(".dancu.hub.v1.AreaNews");
    // A citizen is large, and most messages that may have one have none.
    for citizen in [
        ".dancu.node.v1.Reconciliation.registered",
        ".dancu.v1.Birth.child",
        ".dancu.v1.CivilStatusCorrected.set",
    ] {
        config = config.boxed(citizen);
    }
    for message in JSON {
        config = config.message_attribute(
            format!(".dancu.v1.{message}"),
            "#[derive(serde::Serialize, serde::Deserialize)] \
             #[serde(default, deny_unknown_fields)]",
        );
        config = config.field_attribute(
            format!(".dancu.v1.{message}"),
            "#[serde(skip_serializing_if = \"crate::json::is_default\")]",
        );
    }
    // By what order an address is written is between hub and node.
    config = config.field_attribute(".dancu.v1.Address.division", "#[serde(skip)]");
    // The registry's own: shown by names, and refused from anybody who writes it.
    config = config.field_attribute(
        ".dancu.v1.Citizen.in_question",
        "#[serde(skip_deserializing, serialize_with = \"crate::json::field_names\")]",
    );
    config = config
        .field_attribute(".dancu.v1.CivilStatusCorrected.clear", "#[serde(with = \"crate::json::fields\")]")
        .field_attribute(".dancu.v1.TaskAnswer.end", "#[serde(with = \"crate::json::task_end\")]");
    // In one order, so that the same contribution has the same bytes.
    config = config.btree_map(".dancu.v1");
    for one_of in JSON_ONE_OF {
        config = config.enum_attribute(
            format!(".dancu.v1.{one_of}"),
            "#[derive(serde::Serialize, serde::Deserialize)] #[serde(rename_all = \"snake_case\")]",
        );
    }
    for message in JSON_PLAIN {
        config = config.message_attribute(
            format!(".dancu.v1.{message}"),
            "#[derive(serde::Serialize, serde::Deserialize)] #[serde(transparent)]",
        );
    }
    config.compile_fds(descriptors)?;
    served(&out)
}

/// Messages of `CitizenService` that have a citizen in them.
const WITH_CITIZENS: &[&str] = &[
    "GetCitizenResponse",
    "BatchGetCitizensResponse",
    "FindCitizenResponse",
    "CitizenMatch",
    "VerifyCitizenRequest",
    "ReconcileCitizensRequest",
    "ReconcileCitizensResponse",
    "Reconciliation",
    "WatchCitizensResponse",
    "CitizenChange",
];

/// `CitizenService` once more, with citizens as bytes: a node has them so, and a citizen is large to take to
/// pieces, to move, and to put together.
fn served(out: &Path) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["dancu/node/v1/citizen_service.proto"], ["."])?;
    let file = descriptors.file.iter().find(|file| file.package() == "dancu.node.v1");
    let file = file.ok_or("no package dancu.node.v1")?;
    let messages = file.message_type.iter().map(|message| message.name().to_owned());
    let enums = file.enum_type.iter().map(|one| one.name().to_owned());
    let others: Vec<_> = messages.chain(enums).filter(|name| !WITH_CITIZENS.contains(&&name[..])).collect();
    let mut config = tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".dancu.v1", "crate::v1")
        .extern_path(".dancu.v1.Citizen", "crate::CitizenBytes");
    for name in others {
        config = config.extern_path(format!(".dancu.node.v1.{name}"), format!("crate::node::v1::{name}"));
    }
    let out = out.join("served");
    fs::create_dir_all(&out)?;
    config.out_dir(out).compile_fds(descriptors)?;
    Ok(())
}
