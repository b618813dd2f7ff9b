//! Sessions that write, kept open. They get statements one after the other and commit each.

use std::{process::Stdio, sync::Arc};

use anyhow::Context;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::Mutex,
};

use super::Cluster;

/// Some sessions that share the work.
pub struct Sessions {
    inputs: Vec<Arc<Mutex<ChildStdin>>>,
    children: Vec<Child>,
}

impl Sessions {
    /// Opens so many.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn open(cluster: &Cluster, count: usize) -> anyhow::Result<Sessions> {
        let mut sessions = Sessions { inputs: Vec::new(), children: Vec::new() };
        for _ in 0..count {
            let mut psql = Command::from(cluster.psql()?);
            psql.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
            let mut child = psql.spawn()?;
            sessions.inputs.push(Arc::new(Mutex::new(child.stdin.take().context("a pipe")?)));
            sessions.children.push(child);
        }
        // Connected before anything is measured.
        for input in &sessions.inputs {
            input.lock().await.write_all(b"SELECT 1;\n").await?;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        Ok(sessions)
    }

    /// What makes changes: of people in turn, each a transaction of its own.
    pub fn change(
        &self,
        people: &Arc<Vec<String>>,
    ) -> impl Fn(usize, String) -> std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + use<>
    {
        let (inputs, people) = (self.inputs.clone(), Arc::clone(people));
        move |turn, value| {
            let input = Arc::clone(&inputs[turn % inputs.len()]);
            let statement = update(&people[turn % people.len()], &value);
            Box::pin(async move {
                input.lock().await.write_all(statement.as_bytes()).await?;
                Ok(())
            })
        }
    }

    /// Closes them all, once what they were given is done.
    ///
    /// # Errors
    /// If a statement failed.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.inputs.clear();
        for child in &mut self.children {
            anyhow::ensure!(child.wait().await?.success(), "a session of PostgreSQL failed");
        }
        Ok(())
    }
}

/// The change of one field.
#[must_use]
pub fn update(person: &str, value: &str) -> String {
    format!("UPDATE citizens SET mobile_number = '{value}' WHERE personal_id = {person};\n")
}
