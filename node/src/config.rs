//! Configuration: a TOML file, overridden by `DANCU_NODE__…`.
