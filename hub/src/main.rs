//! `dancu-hub`: owns the population registry and enforces the sharing policy.

fn main() {}
