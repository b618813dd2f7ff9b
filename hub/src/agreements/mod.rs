//! Sharing agreements: policy as a table, not a program.
