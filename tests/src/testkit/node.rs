//! A real node.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use dancu_proto::{
    channel::{Timeouts, connect_unix},
    node::v1::{
        BatchGetCitizensRequest, BatchGetCitizensResponse, GetStatusRequest, GetStatusResponse,
        ListAreasRequest, ListAreasResponse, ReportAccessRequest,
        citizen_service_client::CitizenServiceClient, node_service_client::NodeServiceClient,
        notice_service_client::NoticeServiceClient,
    },
    v1::{AccessContext, AccessReport},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Status, transport::Channel};

use super::{
    Disk, Line, eventually,
    process::{Process, binary, free_port, run},
};

/// A node, in a directory of its own, at the end of a line of its own.
pub struct Node {
    // Before the directory, so that its log can still be shown when it is dropped.
    process: Process,
    dir: TempDir,
    data: PathBuf,
    /// Where the system's credentials are, as systemd tells a service.
    credentials: Option<PathBuf>,
    /// The line to the hub.
    pub line: Line,
    /// The address its TLS listener has.
    pub address: String,
    /// The address that monitoring asks.
    pub monitoring: String,
}

impl Node {
    /// Joins with a token and starts; or what the join says went wrong.
    ///
    /// # Errors
    /// What the join says went wrong.
    pub async fn join(name: &str, line: Line, token: &str) -> Result<Node, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        Node::join_in(dir, data, "", name, line, token).await
    }

    /// The same, with its data on a disk of its own and settings of the slice.
    ///
    /// # Errors
    /// As above.
    pub async fn join_on(
        disk: &Disk,
        slice: &str,
        name: &str,
        line: Line,
        token: &str,
    ) -> Result<Node, String> {
        let dir = tempfile::tempdir().expect("a directory");
        Node::join_in(dir, disk.path().join("node"), slice, name, line, token).await
    }

    /// The same, with settings of the slice alone.
    ///
    /// # Errors
    /// As above.
    pub async fn join_with(slice: &str, name: &str, line: Line, token: &str) -> Result<Node, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        Node::join_in(dir, data, slice, name, line, token).await
    }

    async fn join_in(
        dir: TempDir,
        data: PathBuf,
        slice: &str,
        name: &str,
        line: Line,
        token: &str,
    ) -> Result<Node, String> {
        let address = format!("127.0.0.1:{}", free_port());
        let monitoring = format!("127.0.0.1:{}", free_port());
        let uid = dir.path().metadata().expect("a directory").uid();
        // It restarts without the hub, as an office does.
        let wrapping = dir.path().join("wrapping");
        std::fs::write(&wrapping, [7; 32]).expect("a file");
        let config = format!(
            "data_dir = {data:?}\n[slice]\n{slice}\n[lease]\nkeep = \"wrapped\"\nwrapping_key = {wrapping:?}\n[listen]\ntcp = {address:?}\nmetrics = {monitoring:?}\nunix = {:?}\n\
             [[callers]]\nname = \"test\"\nunix_uid = {uid}\npurposes = [\"*\"]\n",
            dir.path().join("node.sock"),
        );
        std::fs::write(dir.path().join("node.toml"), config).expect("a file");
        let url = line.url();
        let (joined, _, error) = run(command(&dir, &["join", "--hub", &url, "--token", token])).await;
        if !joined {
            return Err(error);
        }
        let process = serve(&dir, None);
        let node = Node { process, dir, data, credentials: None, line, address, monitoring };
        eventually(name, || async { node.cli(&["status"]).await.is_ok() }).await;
        Ok(node)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts it again.
    pub async fn start(&mut self) {
        self.process.kill();
        self.process = serve(&self.dir, self.credentials.as_deref());
        eventually("the node", || async { self.cli(&["status"]).await.is_ok() }).await;
    }

    /// Adds settings, in whole tables, and starts it again with them.
    ///
    /// # Panics
    /// If its configuration cannot be written.
    pub async fn configure(&mut self, settings: &str) {
        let path = self.dir.path().join("node.toml");
        let config = std::fs::read_to_string(&path).expect("a configuration");
        std::fs::write(path, format!("{config}\n{settings}\n")).expect("a file");
        self.start().await;
    }

    /// A command at the node; what it prints, or what it says went wrong.
    ///
    /// # Errors
    /// What the command says went wrong.
    pub async fn cli(&self, args: &[&str]) -> Result<String, String> {
        let (done, out, error) = run(command(&self.dir, args)).await;
        if done { Ok(out) } else { Err(error) }
    }

    /// Its status; nothing while it does not answer.
    pub async fn status(&self) -> Value {
        let out = self.cli(&["status", "--json"]).await.unwrap_or_default();
        serde_json::from_str(&out).unwrap_or_default()
    }

    /// What monitoring reads: the value of each series.
    pub async fn metrics(&self) -> HashMap<String, f64> {
        let mut stream = TcpStream::connect(&self.monitoring).await.expect("a listener for monitoring");
        let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let values = answer.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        values.collect()
    }

    /// Waits until it is in a state.
    pub async fn is(&self, state: &str) {
        eventually(state, || async { self.status().await["state"] == state }).await;
    }

    /// Waits until it serves and its cursor has reached a revision.
    pub async fn reaches(&self, revision: u64) {
        eventually("the node's cursor", || async {
            let status = self.status().await;
            let at = status["cursor"].as_u64();
            if at < Some(revision) {
                eprintln!("waiting for {revision}: {} {at:?} {}", status["state"], status["explanation"]);
            }
            let agreements = status["agreements"].as_array();
            let whole = agreements.is_none_or(|of| of.iter().all(|held| held["loading"] != true));
            let serves = matches!(status["state"].as_str(), Some("serving" | "no_agreement"));
            at >= Some(revision) && serves && whole
        })
        .await;
    }

    /// The citizens it answers with for a purpose, in the order asked.
    ///
    /// # Errors
    /// The refusal.
    pub async fn batch(
        &self,
        purpose: &str,
        ids: &[String],
    ) -> Result<Vec<BatchGetCitizensResponse>, Status> {
        let mut client = self.client().await?;
        let context =
            AccessContext { purpose: purpose.into(), case_number: "T-1".into(), officer: "tester".into() };
        let request = BatchGetCitizensRequest {
            context: Some(context),
            personal_ids: ids.to_vec(),
            fields: Vec::new(),
        };
        let mut answers = client.batch_get_citizens(request).await?.into_inner();
        let mut list = Vec::with_capacity(ids.len());
        while let Some(answer) = answers.message().await? {
            list.push(answer);
        }
        Ok(list)
    }

    /// Who looked at a citizen, as the node of a portal shows it.
    ///
    /// # Errors
    /// The refusal.
    pub async fn access_report(&self, purpose: &str, id: &str) -> Result<AccessReport, Status> {
        let mut client = NoticeServiceClient::new(self.channel().await?);
        let context =
            AccessContext { purpose: purpose.into(), case_number: "T-1".into(), officer: "tester".into() };
        let request =
            ReportAccessRequest { context: Some(context), personal_id: id.into(), ..Default::default() };
        Ok(client.report_access(request).await?.into_inner().report.unwrap_or_default())
    }

    /// Its state, by gRPC: cheaper than [`Node::status`], for who asks often.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn state(&self) -> Result<GetStatusResponse, Status> {
        let mut client = NodeServiceClient::new(self.channel().await?);
        Ok(client.get_status(GetStatusRequest {}).await?.into_inner())
    }

    /// The administrative order at the node.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn areas(&self) -> Result<ListAreasResponse, Status> {
        let mut client = NodeServiceClient::new(self.channel().await?);
        Ok(client.list_areas(ListAreasRequest {}).await?.into_inner())
    }

    /// A client over the Unix socket.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn client(&self) -> Result<CitizenServiceClient<Channel>, Status> {
        Ok(CitizenServiceClient::new(self.channel().await?))
    }

    /// Where its Unix socket is.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("node.sock")
    }

    /// Its Unix socket, as its operator uses it.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn channel(&self) -> Result<Channel, Status> {
        let channel = connect_unix(&self.socket(), &Timeouts::default()).await;
        channel.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// Makes it keep the key of its slice in memory alone, from the next start on.
    pub fn keep_the_key_in_memory(&self) {
        self.keep_the_key("");
    }

    /// Makes it wrap the key of its slice with a credential, which it finds in a directory, from the next
    /// start on.
    pub fn keep_the_key_with(&mut self, credential: &str, directory: &Path) {
        self.keep_the_key(&format!("keep = \"wrapped\"\nwrapping_key = \"credential:{credential}\""));
        self.credentials = Some(directory.to_owned());
    }

    fn keep_the_key(&self, settings: &str) {
        let path = self.dir.path().join("node.toml");
        let config = std::fs::read_to_string(&path).expect("its configuration");
        let others =
            config.lines().filter(|line| !line.starts_with("keep =") && !line.starts_with("wrapping_key"));
        let others = others.collect::<Vec<_>>().join("\n");
        let config = others.replace("[lease]", &format!("[lease]\n{settings}"));
        std::fs::write(path, config).expect("a file");
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("node.log")).unwrap_or_default()
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Memory in use, KiB.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }
}

fn command(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(binary("dancu-node"));
    command.arg("--config").arg(dir.path().join("node.toml")).args(args);
    command
}

fn serve(dir: &TempDir, credentials: Option<&Path>) -> Process {
    let mut command = command(dir, &["serve"]);
    command.envs(credentials.map(|directory| ("CREDENTIALS_DIRECTORY", directory)));
    Process::start(command, &dir.path().join("node.log"))
}
