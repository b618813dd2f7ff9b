//! A caller of prepared statements, over TLS, with the client that back-ends in Rust use.

use std::error::Error;

use anyhow::Context;
use futures::{StreamExt, pin_mut};
use tokio_postgres::{
    Config, Row, Statement,
    config::SslMode,
    types::{BorrowToSql, FromSql, ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::{super::tls, Cluster, DATABASE, USER};

/// A connection, and a statement that is prepared on it.
pub struct Client {
    client: tokio_postgres::Client,
    statement: Statement,
    /// Carries what is asked and answered.
    _connection: AbortOnDropHandle<()>,
}

/// A value as it is sent, in binary form.
pub struct Raw<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Client {
    /// Connects, and prepares a statement.
    ///
    /// # Errors
    /// What the server says.
    pub async fn connect(cluster: &Cluster, statement: &str) -> anyhow::Result<Client> {
        let config = dancu_proto::channel::client_config(tls::trust(&cluster.certificate())?, None)?;
        let connect = Config::new()
            .host(tls::NAME)
            .hostaddr([127, 0, 0, 1].into())
            .port(cluster.port())
            .user(USER)
            .dbname(DATABASE)
            .ssl_mode(SslMode::Require)
            .connect(MakeRustlsConnect::new((*config).clone()))
            .await;
        let (client, connection) = connect.context("PostgreSQL")?;
        // It ends with the client, or with an error that the client has too.
        let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        let statement = client.prepare(statement).await?;
        Ok(Client { client, statement, _connection: connection })
    }

    /// Executes it, where it gives no rows: a transaction of its own.
    ///
    /// # Errors
    /// What the server says.
    pub async fn execute(&self, parameters: &[&(dyn ToSql + Sync)]) -> anyhow::Result<()> {
        self.client.execute(&self.statement, parameters).await?;
        Ok(())
    }

    /// Executes it, with its one parameter, and takes each row of the answer.
    ///
    /// # Errors
    /// What the server says, or `take`.
    pub async fn select<P: BorrowToSql>(
        &self,
        parameter: P,
        mut take: impl FnMut(&Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let rows = self.client.query_raw(&self.statement, [parameter]).await?;
        pin_mut!(rows);
        while let Some(row) = rows.next().await {
            take(&row?)?;
        }
        Ok(())
    }
}

/// A personal number, as the tables have it.
///
/// # Errors
/// If it is none.
pub fn number(personal_id: &str) -> anyhow::Result<i64> {
    personal_id.parse().context("a personal number")
}
