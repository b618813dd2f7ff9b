//! Signed statements in files, and by whose certificate they are checked: what needs no hub.

use std::{fs, path::Path};

use anyhow::Context;
use dancu_proto::{channel::identity::certificates_from_pem, v1::Signed};
use rustls::pki_types::CertificateDer;

use super::Global;

/// The certificate of the hub's authority.
pub(super) type Authority = CertificateDer<'static>;

/// The authority's certificate: in a file, or that of the hub on this machine.
pub(super) fn authority(global: &Global, path: Option<&Path>) -> anyhow::Result<Authority> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => global.load()?.data_dir.join("authority").join("authority.crt"),
    };
    let unreadable =
        || format!("cannot read the authority's certificate in {}; give it with --authority", path.display());
    let certificates =
        certificates_from_pem(&fs::read(&path).with_context(unreadable)?).with_context(unreadable)?;
    certificates.into_iter().next().with_context(unreadable)
}

/// A statement in a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Signed> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Signed::from_text(&text).with_context(|| format!("{} is no signed statement", path.display()))
}
