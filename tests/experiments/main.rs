//! Experiments: what many runs need and what they say together.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used)]

#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod report;
