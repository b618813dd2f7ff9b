//! The one place where the node's errors become gRPC statuses.
