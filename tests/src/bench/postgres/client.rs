//! A caller of prepared statements, over TLS, that does as little as can be: one message there and one
//! back, on a connection that nobody shares, with rows in binary form that are handed on where they lie.
//! Clients for general use do more.

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::{super::tls, Cluster, DATABASE, USER};

/// Asks for TLS.
const TLS_PLEASE: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Version 3.0 of the protocol.
const VERSION: i32 = 196_608;
/// The kind of `bigint`, as arrays name it.
const BIGINT: i32 = 20;

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
    pub async fn connect(cluster: &Cluster) -> anyhow::Result<Client> {
        let greet = |mut stream: TcpStream| async move {
            stream.write_all(&TLS_PLEASE).await?;
            ensure!(stream.read_u8().await? == b'S', "the server has no TLS");
            Ok(stream)
        };
        let stream = tls::connect(cluster.port(), &cluster.certificate(), greet).await?;
        let mut client = Client { stream, request: Vec::new(), answer: Vec::new() };
        let who = format!("user\0{USER}\0database\0{DATABASE}\0\0");
        client.request.extend(i32::try_from(who.len() + 8)?.to_be_bytes());
        client.request.extend(VERSION.to_be_bytes());
        client.request.extend(who.as_bytes());
        client.exchange(|_| Ok(())).await?;
        Ok(client)
    }

    /// Prepares the statement that is executed from now on; it has one parameter.
    ///
    /// # Errors
    /// What the server says.
    pub async fn prepare(&mut self, statement: &str) -> anyhow::Result<()> {
        let body = [b"asked\0", statement.as_bytes(), &[0, 0, 0]].concat();
        self.message(b'P', &[&body]);
        self.message(b'S', &[]);
        self.exchange(|_| Ok(())).await?;
        Ok(())
    }

    /// Executes it for a number; each row goes to `take`.
    ///
    /// # Errors
    /// What the server says, or `take`.
    pub async fn select(
        &mut self,
        number: i64,
        take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.execute(&number.to_be_bytes(), take).await
    }

    /// Executes it for an array of numbers; each row goes to `take`.
    ///
    /// # Errors
    /// What the server says, or `take`.
    pub async fn select_any(
        &mut self,
        numbers: &[i64],
        take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut array = Vec::with_capacity(20 + numbers.len() * 12);
        let head = [1, 0, BIGINT, i32::try_from(numbers.len())?, 1];
        array.extend(head.iter().flat_map(|part| part.to_be_bytes()));
        for number in numbers {
            array.extend(8_i32.to_be_bytes());
            array.extend(number.to_be_bytes());
        }
        self.execute(&array, take).await
    }

    /// Binds, executes and waits, in one message there and one back; everything in binary form.
    async fn execute(
        &mut self,
        parameter: &[u8],
        take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let length = i32::try_from(parameter.len())?.to_be_bytes();
        let portal_and_forms = b"\0asked\0\0\x01\0\x01\0\x01";
        self.message(b'B', &[portal_and_forms, &length, parameter, &[0, 1, 0, 1]]);
        self.message(b'E', &[&[0, 0, 0, 0, 0]]);
        self.message(b'S', &[]);
        self.exchange(take).await
    }

    fn message(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.request.push(kind);
        // No message here comes near the largest.
        self.request.extend((length as u32 + 4).to_be_bytes());
        parts.iter().for_each(|part| self.request.extend_from_slice(part));
    }

    /// Sends what is to be sent, and reads until the server is ready for more.
    async fn exchange(&mut self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        self.request.clear();
        self.answer.clear();
        let mut at = 0;
        loop {
            while let Some((kind, body)) = message(&self.answer[at..]) {
                match kind {
                    b'D' => take(body)?,
                    b'E' => bail!("PostgreSQL: {}", String::from_utf8_lossy(body).replace('\0', " ")),
                    b'Z' => return Ok(()),
                    _ => {}
                }
                at += body.len() + 5;
            }
            self.answer.reserve(16 << 10);
            let more = self.stream.read_buf(&mut self.answer).await?;
            ensure!(more > 0, "PostgreSQL has closed the connection");
        }
    }
}

/// The message that some bytes begin with, if it is there to its end.
fn message(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    Some((*kind, rest.get(4..length)?))
}

/// A personal number, as the tables have it.
///
/// # Errors
/// If it is none.
pub fn number(personal_id: &str) -> anyhow::Result<i64> {
    personal_id.parse().context("a personal number")
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn messages_are_told_apart() {
        let bytes = [b'Z', 0, 0, 0, 5, b'I', b'D', 0, 0, 0, 9, 1];
        assert_eq!(message(&bytes), Some((b'Z', &b"I"[..])));
        assert_eq!(message(&bytes[6..]), None);
        assert_eq!(message(&[]), None);
    }
}
