//! The gRPC server that agency back-ends call.
