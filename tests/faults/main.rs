//! Bad input, given to the built program: each case ends with exit code 2, one line that says what is wrong, where and what to
//! do, and nothing written.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used)]

mod adapters;
#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod data;
mod flags;
mod images;
mod models;
mod places;
#[path = "../support/mod.rs"]
mod support;
