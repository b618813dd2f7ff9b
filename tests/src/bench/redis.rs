//! Redis, as a process that lives as long as the measure and keeps nothing on disk; and a caller, over
//! TLS, that does as little as can be.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::{cpu, tls};

/// The program: of Redis, or what Debian has in its place.
const PROGRAM: &str = "redis-server";

/// A running server, ended when dropped.
pub struct Redis {
    dir: TempDir,
    port: u16,
    process: Child,
}

/// The version that is installed.
///
/// # Errors
/// If none is.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new(PROGRAM).arg("--version").output();
    let output = output.context("there is no redis-server; deploy/install-bench-deps.sh installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    Ok(format!("Redis {}", number.context("a version of Redis")?))
}

impl Redis {
    /// A new server, empty.
    ///
    /// # Errors
    /// If Redis is not there or does not start.
    pub async fn start() -> anyhow::Result<Redis> {
        let dir = tempfile::tempdir()?;
        tls::write(dir.path(), "server")?;
        let port = crate::testkit::free_port();
        let mut server = Command::new(PROGRAM);
        server.args(["--port", "0", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        server.args(["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3"]);
        server.arg("--tls-port").arg(port.to_string());
        server.arg("--tls-cert-file").arg(dir.path().join("server.crt"));
        server.arg("--tls-key-file").arg(dir.path().join("server.key"));
        server.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = server.spawn().context("redis-server")?;
        let redis = Redis { dir, port, process };
        for _ in 0..100 {
            if Client::connect(&redis).await.is_ok() {
                return Ok(redis);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("Redis does not start within five seconds")
    }

    /// CPU time of the server.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        cpu::of_process(self.process.id())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection.
pub struct Client {
    stream: TlsStream<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn connect(redis: &Redis) -> anyhow::Result<Client> {
        let certificate = redis.dir.path().join("server.crt");
        let stream = tls::connect(redis.port, &certificate, |stream| async { Ok(stream) }).await?;
        Ok(Client { stream, request: Vec::new(), answer: Vec::new() })
    }

    /// Stores some values.
    ///
    /// # Errors
    /// If the server refuses one.
    pub async fn set(&mut self, values: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
        self.request.clear();
        for (key, value) in values {
            command(&mut self.request, &[b"SET", key.as_bytes(), value]);
        }
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        let mut told = vec![0; b"+OK\r\n".len() * values.len()];
        self.stream.read_exact(&mut told).await?;
        ensure!(told.chunks(5).all(|one| one == b"+OK\r\n"), "Redis refuses a value");
        Ok(())
    }

    /// The value of a key, where it lies.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get(&mut self, key: &str) -> anyhow::Result<&[u8]> {
        self.request.clear();
        command(&mut self.request, &[b"GET", key.as_bytes()]);
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        self.answer.clear();
        loop {
            self.answer.reserve(4 << 10);
            let more = self.stream.read_buf(&mut self.answer).await?;
            ensure!(more > 0, "Redis has closed the connection");
            if value(&self.answer)?.is_some() {
                break;
            }
        }
        value(&self.answer)?.context("a value")
    }
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
}

/// The value in an answer, if it is there to its end.
fn value(answer: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let Some(end) = answer.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let line = std::str::from_utf8(&answer[..end])?;
    let length = line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
    let length = length.with_context(|| format!("Redis: {line}"))?;
    let whole = answer.len() >= end + 2 + length + 2;
    Ok(whole.then(|| &answer[end + 2..end + 2 + length]))
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_value_is_whole_or_not_there() {
        assert_eq!(value(b"$3\r\nabc\r\n").unwrap(), Some(&b"abc"[..]));
        assert_eq!(value(b"$3\r\nabc").unwrap(), None);
        assert_eq!(value(b"$").unwrap(), None);
        assert!(value(b"$-1\r\n").is_err());
        assert!(value(b"-ERR no\r\n").is_err());
    }
}
