//! To come.
use super::{Bench, outcome::Outcome};
/// Measures.
///
/// # Errors
/// Always.
pub async fn run(_: &Bench) -> anyhow::Result<Outcome> {
    anyhow::bail!("to come")
}
