//! The one place where the hub's errors become gRPC statuses.
