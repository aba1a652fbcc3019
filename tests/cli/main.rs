//! The command line's contract, held by the built program: what each command prints, writes and repeats.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used)]

mod bench;
mod classify;
#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod demo;
mod embed;
mod eval;
mod full;
mod interrupted;
mod lists;
mod run_folder;
mod serve;
mod train;
