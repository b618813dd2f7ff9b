//! Configuration: a TOML file, overridden by `DANCU_HUB__…`.
