//! `dancu-node`: caches an agency's slice, answers from it, works offline.

fn main() {}
