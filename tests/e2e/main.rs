//! What users do, from one end to the other.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod contributions;
mod enrolment;
mod interests;
mod late;
mod numbers;
mod procedures;
mod python_client;
mod reconcile;
mod refusals;
mod review;
