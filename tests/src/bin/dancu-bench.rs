//! `dancu-bench`: Dancu measured side by side with PostgreSQL's logical replication.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    dancu_tests::bench::main().await
}
