//! The back-ends that may call, managed at a terminal. The running node notices by itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use dancu_proto::channel::{file, identity::certificates_from_pem};
use time::{Duration, OffsetDateTime};

use super::{failure::Failure, print};
use crate::{
    callers::{
        CallersFile, Entry, RosterError,
        authority::{Authority, fingerprint},
    },
    config::Config,
};

/// `client`
#[derive(Debug, Subcommand)]
pub(super) enum Client {
    /// Let a back-end call for its purposes: with a new key and certificate, or with its own
    Add(Add),
    /// List the back-ends that may call
    List(List),
    /// Bind a back-end that is listed to other purposes; its certificate and limits stay
    Set {
        /// Name of the back-end
        name: String,
        /// All the purposes it is bound to from now on, separated by commas; `*` for all
        #[arg(long, value_delimiter = ',', required = true, value_parser = trimmed)]
        purposes: Vec<String>,
    },
    /// Take a back-end off the list, and its certificate out of use; open connections too
    Revoke {
        /// Name of the back-end
        name: String,
    },
}

/// `client add`
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Name of the back-end
    #[arg(long)]
    name: String,
    /// The purposes it is bound to, separated by commas; `*` for all
    #[arg(long, value_delimiter = ',', required = true, value_parser = trimmed)]
    purposes: Vec<String>,
    /// Certify the key of this signing request (PKCS#10, PEM), which the back-end made
    #[arg(long, value_name = "FILE", group = "known_by")]
    csr: Option<PathBuf>,
    /// Take this certificate (PEM) of the agency's own authority, which the node trusts by its
    /// configuration (tls.client_authorities)
    #[arg(long, value_name = "FILE", group = "known_by")]
    certificate: Option<PathBuf>,
    /// No certificate: known by the user id of its process, at the Unix socket
    #[arg(long, value_name = "UID", group = "known_by")]
    unix_uid: Option<u32>,
    /// How many people it may ask about in a second [default: no limit of its own]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    per_second: u32,
    /// How many in a day [default: no limit of its own]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    per_day: u32,
    /// Where the files are put [default: clients/NAME in the agency's directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many days the certificate is good for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=1095))]
    days: u16,
}

/// `client list`
#[derive(Debug, Args)]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn trimmed(purpose: &str) -> Result<String, String> {
    match purpose.trim() {
        "" => Err("a purpose is a code, or `*`".to_owned()),
        purpose => Ok(purpose.to_owned()),
    }
}

impl Client {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        match self {
            Client::Add(add) => add.run(config),
            Client::List(list) => list.run(config),
            Client::Set { name, purposes } => {
                CallersFile::of(&config.agency_dir()).set_purposes(name, purposes.clone())?;
                let purposes = purposes.join(", ");
                print::line(format_args!(
                    "{name} may call for {purposes}; a running node notices in a second"
                ))
            }
            Client::Revoke { name } => {
                CallersFile::of(&config.agency_dir()).revoke(name, OffsetDateTime::now_utc())?;
                print::line(format_args!("{name} may not call any more; a running node notices in a second"))
            }
        }
    }
}

impl Add {
    fn run(&self, config: &Config) -> Result<(), Failure> {
        if !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || self.name.starts_with('.')
            || self.name.is_empty()
            || self.name.len() > 64
        {
            let fault = "a name has 1 to 64 letters, digits, hyphens, dots and underscores";
            return Err(Failure::Usage(format!("--name {:?}: {fault}", self.name)));
        }
        let agency = config.agency_dir();
        let callers = CallersFile::of(&agency);
        let entries = callers.entries()?;
        let mut others = entries.iter().chain(&config.callers);
        if others.clone().any(|entry| entry.name == self.name) {
            return Err(RosterError::Exists(self.name.clone()).into());
        }
        if let Some(uid) = self.unix_uid
            && let Some(other) = others.find(|other| other.unix_uid == Some(uid))
        {
            let name = &other.name;
            return Err(Failure::Usage(format!("--unix-uid {uid}: that user is known as {name} already")));
        }
        let mut entry = Entry {
            name: self.name.clone(),
            purposes: self.purposes.clone(),
            per_second: self.per_second,
            per_day: self.per_day,
            ..Entry::default()
        };
        let how = if let Some(uid) = self.unix_uid {
            entry.unix_uid = Some(uid);
            format!("as user {uid}, at the Unix socket")
        } else if let Some(path) = &self.certificate {
            entry.certificate_sha256 = Some(registered(path)?);
            format!("with the certificate in {}", path.display())
        } else {
            let out = self.out.clone().unwrap_or_else(|| agency.join("clients").join(&self.name));
            entry.certificate_sha256 =
                Some(self.certify(&Authority::open_or_create(&agency, OffsetDateTime::now_utc())?, &out)?);
            let key = if self.csr.is_some() { "certificate" } else { "certificate, key" };
            format!("{key} and the node's authority are in {}", out.display())
        };
        // Last, so that a caller who is listed has the files.
        callers.add(entry)?;
        print::line(format_args!("{} may call for {}; {how}", self.name, self.purposes.join(", ")))
    }

    /// Writes a certificate, with a new key unless the back-end made its own; the fingerprint.
    fn certify(&self, authority: &Authority, out: &Path) -> Result<String, Failure> {
        let (now, lifetime) = (OffsetDateTime::now_utc(), Duration::days(self.days.into()));
        let (key, certificate, sha256) = match &self.csr {
            Some(request) => {
                let (certificate, sha256) =
                    authority.caller_by_request(request, &self.name, now, lifetime)?;
                (None, certificate, sha256)
            }
            None => {
                let issued = authority.caller(&self.name, now, lifetime)?;
                (Some(issued.key_pem()), issued.certificate_pem.clone(), issued.sha256())
            }
        };
        fs::create_dir_all(out).map_err(|source| Failure::File { path: out.to_owned(), source })?;
        let files = [
            key.map(|key| ("client.key", key, file::SECRET)),
            Some(("client.crt", certificate, file::PUBLIC)),
            Some(("authority.crt", authority.certificate_pem().to_owned(), file::PUBLIC)),
        ];
        for (name, content, mode) in files.into_iter().flatten() {
            let path = out.join(name);
            file::replace(&path, content.as_bytes(), mode)
                .map_err(|source| Failure::File { path, source })?;
        }
        Ok(sha256)
    }
}

/// The fingerprint of a certificate in a file.
fn registered(path: &Path) -> Result<String, Failure> {
    let content = fs::read(path).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    let certificates = certificates_from_pem(&content)?;
    let [certificate, ..] = certificates.as_slice() else {
        return Err(Failure::Usage(format!("{} has no certificate", path.display())));
    };
    Ok(fingerprint(certificate))
}

impl List {
    fn run(&self, config: &Config) -> Result<(), Failure> {
        let added = CallersFile::of(&config.agency_dir()).entries()?;
        let entries: Vec<Entry> = config.callers.iter().cloned().chain(added).collect();
        if self.json {
            return print::json(&serde_json::to_value(&entries)?);
        }
        if entries.is_empty() {
            return print::line("no back-end may call; add one with `dancu-node client add`");
        }
        let known_by =
            |entry: &Entry| match (&entry.certificate_sha256, &entry.certificate_subject, entry.unix_uid) {
                (Some(sha256), ..) => format!("certificate {}", sha256.chars().take(16).collect::<String>()),
                (_, Some(subject), _) => format!("certificate of {subject}"),
                (.., Some(uid)) => format!("Unix user {uid}"),
                _ => String::new(),
            };
        let row = |(place, entry): (usize, &Entry)| {
            let listed_in = if place < config.callers.len() { "configuration" } else { "callers.toml" };
            let quota = match (entry.per_second, entry.per_day) {
                (0, 0) => String::new(),
                (second, 0) => format!("{second} a second"),
                (0, day) => format!("{day} a day"),
                (second, day) => format!("{second} a second, {day} a day"),
            };
            vec![entry.name.clone(), known_by(entry), entry.purposes.join(", "), quota, listed_in.into()]
        };
        let rows = entries.iter().enumerate().map(row).collect();
        print::table(&["Name", "Known by", "Purposes", "Quota", "Listed in"], rows)
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::channel::{Peer, PeerCertificate, SwappableIdentity, identity::certificates_from_pem};

    use super::*;
    use crate::callers::{Roster, UnknownCaller};

    fn add(name: &str) -> Add {
        Add {
            name: name.into(),
            purposes: vec!["1.001193".into()],
            csr: None,
            certificate: None,
            unix_uid: None,
            per_second: 0,
            per_day: 0,
            out: None,
            days: 30,
        }
    }

    #[test]
    fn a_client_added_is_known_by_its_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        add("portal").run(&config).unwrap();
        let files = config.agency_dir().join("clients/portal");
        let read = |name: &str| fs::read(files.join(name)).unwrap();
        let identity = SwappableIdentity::from_pem(&read("client.crt"), &read("client.key")).unwrap();
        certificates_from_pem(&read("authority.crt")).unwrap();
        let roster = Roster::load(&[], CallersFile::of(&config.agency_dir())).unwrap();
        let certificate = PeerCertificate::read(identity.chain()).unwrap();
        let peer = Peer { certificate: Some(certificate.into()), ..Peer::default() };
        let caller = roster.identify(&peer, OffsetDateTime::now_utc()).unwrap();
        assert_eq!(caller.name, "portal");
        assert!(caller.purposes.contain("1.001193") && !caller.purposes.contain("other"));
        let later = OffsetDateTime::now_utc() + Duration::days(31);
        assert!(roster.identify(&peer, later).is_err());
    }

    #[test]
    fn a_back_end_may_bring_its_own_key_or_certificate_and_be_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let path = directory.path().join("request.pem");
        fs::write(&path, &request).unwrap();
        Add { csr: Some(path.clone()), ..add("own-key") }.run(&config).unwrap();
        let files = config.agency_dir().join("clients/own-key");
        assert!(!files.join("client.key").exists());
        let content = fs::read(files.join("client.crt")).unwrap();
        let identity = SwappableIdentity::from_pem(&content, key.serialize_pem().as_bytes()).unwrap();
        let peer_of = |chain| {
            let certificate = PeerCertificate::read(chain).unwrap();
            Peer { certificate: Some(certificate.into()), ..Peer::default() }
        };
        let peer = peer_of(identity.chain());
        let file = CallersFile::of(&config.agency_dir());
        let roster = Roster::load(&[], file.clone()).unwrap();
        let now = OffsetDateTime::now_utc();
        assert_eq!(roster.identify(&peer, now).unwrap().name, "own-key");
        // A request that another key signed is none.
        let at = request.len() / 2;
        let damaged: String =
            request.chars().enumerate().map(|(n, c)| if n == at { '/' } else { c }).collect();
        fs::write(&path, damaged).unwrap();
        assert!(matches!(Add { csr: Some(path), ..add("x") }.run(&config), Err(Failure::Authority(_))));

        let own = rcgen::generate_simple_self_signed(vec!["portal.gov.vn".into()]).unwrap();
        let path = directory.path().join("own.pem");
        fs::write(&path, own.cert.pem()).unwrap();
        Add { certificate: Some(path), ..add("own-certificate") }.run(&config).unwrap();
        Add { unix_uid: Some(77), ..add("local") }.run(&config).unwrap();
        roster.reload().unwrap();
        let own = peer_of(vec![own.cert.der().clone()]);
        assert_eq!(roster.identify(&own, now).unwrap().name, "own-certificate");

        Client::Revoke { name: "own-key".into() }.run(&config).unwrap();
        roster.reload().unwrap();
        assert_eq!(roster.identify(&peer, now), Err(UnknownCaller::Revoked));
        assert!(roster.identify(&own, now).is_ok());
        assert_eq!(file.revoked().unwrap()[0].name, "own-key");
        let again = Client::Revoke { name: "own-key".into() }.run(&config);
        assert!(matches!(again, Err(Failure::Callers(RosterError::Unknown(_)))));
        // The name may be given again; the certificate stays out of use.
        add("own-key").run(&config).unwrap();
        roster.reload().unwrap();
        assert_eq!(roster.identify(&peer, now), Err(UnknownCaller::Revoked));
    }

    #[test]
    fn a_name_is_given_once_and_is_no_path() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
        add("portal").run(&config).unwrap();
        assert!(matches!(add("portal").run(&config), Err(Failure::Callers(RosterError::Exists(_)))));
        for name in ["", "../x", ".x", "a b"] {
            assert!(matches!(add(name).run(&config), Err(Failure::Usage(_))), "{name}");
        }
    }
}
