//! `dancu-bench`: Dancu measured side by side with PostgreSQL's logical replication.

use std::process::ExitCode;

/// What hubs and nodes have: the callers of both sides take less of the cores that they share with the servers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    dancu_tests::bench::main().await
}
