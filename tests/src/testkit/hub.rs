//! A real hub.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use dancu_proto::{
    channel::{Timeouts, connect_unix, identity::certificates_from_pem},
    hub::v1::{
        GetHubStatusRequest, admin_service_client::AdminServiceClient,
        review_service_client::ReviewServiceClient,
    },
    v1::Citizen,
};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

use super::{
    Disk, Line, Node, Simulated, eventually,
    process::{Process, binary, free_port, run},
};

/// A running hub, in a directory of its own.
pub struct Hub {
    // Before the directory, so that its log can still be shown when it is dropped.
    process: Option<Process>,
    place: Place,
}

/// Settings, as environment variables.
type Settings = &'static [(&'static str, &'static str)];

/// Where a hub is.
struct Place {
    dir: TempDir,
    data: PathBuf,
    port: u16,
    settings: Settings,
}

/// An agreement, as a test writes it.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// The agency.
    pub agency: String,
    /// Its purpose.
    pub purpose: String,
    /// Its fields, without the number.
    pub fields: Vec<String>,
    /// Provinces; none, and no communes, for the nation.
    pub provinces: Vec<String>,
    /// Communes.
    pub communes: Vec<String>,
    /// How long look-ups may go on offline.
    pub offline_limit: String,
}

impl Agreement {
    /// The document.
    #[must_use]
    pub fn document(&self) -> String {
        let scope = if self.provinces.is_empty() && self.communes.is_empty() {
            "nation = true".to_owned()
        } else {
            format!("provinces = {:?}\ncommunes = {:?}", self.provinces, self.communes)
        };
        format!(
            "id = {:?}\nversion = {}\nagency = {:?}\ntitle = \"A test\"\nlegal_basis = [\"1911/QĐ-TTg\"]\n\
             valid_from = 2020-01-01\noperations = [\"lookup\", \"verify\", \"watch\"]\nfields = {:?}\n\
             offline_limit = {:?}\nofficers = \"vouched\"\n[[purposes]]\ncode = {:?}\ntitle = \"A test\"\n[scope]\n{scope}\n",
            self.id, self.version, self.agency, self.fields, self.offline_limit, self.purpose
        )
    }
}

impl Hub {
    /// A new hub, empty.
    pub async fn start() -> Hub {
        Hub::start_with(&[]).await
    }

    /// A new hub with settings of its own, as environment variables.
    pub async fn start_with(settings: Settings) -> Hub {
        Hub::start_in(Place::new(settings)).await
    }

    /// A new hub whose data is on a disk of its own.
    pub async fn start_on(disk: &Disk, settings: Settings) -> Hub {
        Hub::start_in(Place { data: disk.path().join("hub"), ..Place::new(settings) }).await
    }

    async fn start_in(place: Place) -> Hub {
        place.init(&[]).await;
        let hub = Hub { process: Some(place.serve()), place };
        hub.ready().await;
        hub
    }

    /// A new hub whose registry begins with the administrative order in a file.
    pub async fn start_under(areas: &Path) -> Hub {
        let place = Place::new(&[]);
        place.init(&["--areas", areas.to_str().expect("a path")]).await;
        let hub = Hub { process: Some(place.serve()), place };
        hub.ready().await;
        hub
    }

    /// A new hub that the test itself runs, on the data directory, port and socket of this one.
    pub async fn prepare() -> Hub {
        let place = Place::new(&[]);
        place.init(&[]).await;
        Hub { process: None, place }
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.place.data.clone()
    }

    /// The certificate of its authority.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn authority(&self) -> CertificateDer<'static> {
        let file = self.place.data.join("authority").join("authority.crt");
        let pem = std::fs::read(file).expect("the certificate of the authority");
        certificates_from_pem(&pem).expect("a certificate").swap_remove(0)
    }

    /// What operators ask about contributions.
    pub async fn reviews(&self) -> ReviewServiceClient<Channel> {
        ReviewServiceClient::new(connect_unix(&self.socket(), &Timeouts::default()).await.expect("the hub"))
    }

    /// Its admin socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.dir.path().join("hub.sock")
    }

    /// The port for nodes.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Waits until it answers.
    pub async fn ready(&self) {
        eventually("the hub", || async { self.cli(&["status"]).await.is_ok() }).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.iter_mut().for_each(Process::kill);
    }

    /// SIGTERM, and waits.
    pub fn stop(&mut self) {
        self.process.iter_mut().for_each(Process::stop);
    }

    /// Starts it again.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = Some(self.place.serve());
        self.ready().await;
    }

    /// Starts it again, with other settings.
    pub async fn restart_with(&mut self, settings: Settings) {
        self.place.settings = settings;
        self.restart().await;
    }

    /// A command of the hub's operator; what it prints, or what it says went wrong.
    ///
    /// # Errors
    /// What the command says went wrong.
    pub async fn cli(&self, args: &[&str]) -> Result<String, String> {
        let (done, out, error) = run(self.place.command(args)).await;
        if done { Ok(out) } else { Err(error) }
    }

    /// The same, for its JSON.
    pub async fn json(&self, args: &[&str]) -> Value {
        let args = [&["--json"], args].concat();
        let out = self.cli(&args).await.expect("a command that succeeds");
        serde_json::from_str(&out).expect("JSON")
    }

    /// The admin interface.
    pub async fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(connect_unix(&self.socket(), &Timeouts::default()).await.expect("the hub"))
    }

    /// The latest revision.
    pub async fn head(&self) -> u64 {
        let status = self.admin().await.get_hub_status(GetHubStatusRequest {}).await;
        status.expect("the hub's status").into_inner().head
    }

    /// Imports citizens.
    pub async fn import(&self, citizens: &[Citizen]) -> Value {
        self.try_import(citizens).await.expect("an import that succeeds")
    }

    /// The same, where it may fail.
    ///
    /// # Errors
    /// What the command says went wrong.
    pub async fn try_import(&self, citizens: &[Citizen]) -> Result<Value, String> {
        let file = self.place.dir.path().join("citizens.jsonl");
        let rows: Vec<String> =
            citizens.iter().map(|citizen| serde_json::to_string(citizen).expect("JSON")).collect();
        std::fs::write(&file, rows.join("\n")).expect("a file");
        let out = self.cli(&["--json", "import", file.to_str().expect("a path")]).await?;
        Ok(serde_json::from_str(&out).expect("JSON"))
    }

    /// Applies an agreement; the revision.
    pub async fn apply(&self, agreement: &Agreement) -> u64 {
        self.apply_document(&agreement.document()).await
    }

    /// Lets an agency hand in contributions in a role, for a purpose; the revision.
    pub async fn let_contribute(&self, agency: &str, role: &str, purpose: &str) -> u64 {
        // One commune: what the agency's nodes hold is not what matters.
        self.apply_document(&format!(
            "id = \"contributes-{agency}-{role}\"\nversion = 1\nagency = {agency:?}\ntitle = \"A test\"\n\
             legal_basis = [\"1911/QĐ-TTg\"]\nvalid_from = 2020-01-01\noperations = [\"lookup\", \"contribute\"]\n\
             contributes_as = [{role:?}]\nfields = [\"full_name\"]\noffline_limit = \"7d\"\nofficers = \"vouched\"\n\
             [[purposes]]\ncode = {purpose:?}\ntitle = \"A test\"\n[scope]\ncommunes = [\"00004\"]\n"
        ))
        .await
    }

    async fn apply_document(&self, document: &str) -> u64 {
        let file = self.place.dir.path().join("agreement.toml");
        std::fs::write(&file, document).expect("a file");
        let answer = self.json(&["agreement", "apply", file.to_str().expect("a path")]).await;
        answer["revision"].as_u64().expect("a revision")
    }

    /// Enrols a node, over a line of its own, and starts it.
    pub async fn enroll(&self, name: &str, agency: &str) -> Node {
        let token = self.token(name, agency).await;
        let line = Line::to(self.place.port).await;
        Node::join(name, line, &token).await.expect("a node that joins")
    }

    /// Enrols a simulated node, over a line of its own, and starts it.
    pub async fn simulate(&self, name: &str, agency: &str) -> Simulated {
        let token = self.token(name, agency).await;
        let mut node =
            Simulated::join(&token, Line::to(self.place.port).await).await.expect("a node that joins");
        node.start();
        node
    }

    /// Corrects fields of a citizen: `name=value` each. The revision.
    ///
    /// # Errors
    /// What the command says went wrong.
    pub async fn change(&self, id: &str, set: &[&str]) -> Result<u64, String> {
        let mut args = vec!["--json", "change", id];
        args.extend(set.iter().flat_map(|value| ["--set", value]));
        args.extend(["--reason", "a test", "--document", "T/1", "--effective", "2026-01-01"]);
        let out = self.cli(&args).await?;
        let answer: Value = serde_json::from_str(&out).expect("JSON");
        Ok(answer["revision"].as_u64().expect("a revision"))
    }

    /// A token for a new node.
    pub async fn token(&self, name: &str, agency: &str) -> String {
        let out = self.cli(&["node", "add", "--name", name, "--agency", agency]).await;
        out.expect("a token").trim().to_owned()
    }

    /// A line to this hub.
    pub async fn line(&self) -> Line {
        Line::to(self.place.port).await
    }

    /// A line with nothing in between, for nodes by the thousand.
    #[must_use]
    pub fn straight_line(&self) -> Line {
        Line::straight(self.place.port)
    }

    /// Memory in use, KiB.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.process.as_ref().map_or(0, Process::memory)
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.dir.path().join("hub.log")).unwrap_or_default()
    }

    /// SIGSTOP: it stands still.
    ///
    /// # Panics
    /// If the test runs it itself.
    pub fn pause(&self) {
        self.process.as_ref().expect("a process").signal("STOP");
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// If the test runs it itself.
    pub fn go_on(&self) {
        self.process.as_ref().expect("a process").signal("CONT");
    }

    /// Its process.
    ///
    /// # Panics
    /// If the test runs it itself.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("a process").id()
    }
}

impl Place {
    fn new(settings: Settings) -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        Place { data: dir.path().join("data"), dir, port: free_port(), settings }
    }

    async fn init(&self, options: &[&str]) {
        let (made, _, error) = run(self.command(&[&["init"], options].concat())).await;
        assert!(made, "{error}");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("dancu-hub"));
        command
            .args(args)
            .env("DANCU_HUB__DATA_DIR", &self.data)
            .env("DANCU_HUB__LISTEN__NODES", format!("127.0.0.1:{}", self.port))
            .env("DANCU_HUB__LISTEN__ADMIN_SOCKET", self.dir.path().join("hub.sock"))
            .env("DANCU_HUB__SYNC__HEARTBEAT", "200ms")
            .envs(self.settings.iter().copied());
        command
    }

    fn serve(&self) -> Process {
        Process::start(self.command(&["serve"]), &self.dir.path().join("hub.log"))
    }
}
