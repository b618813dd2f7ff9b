//! Answers from the slice: get, find, verify.
