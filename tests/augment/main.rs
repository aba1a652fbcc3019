//! `lowshot augment`: pictures of pictures by a small seeded Stable Diffusion, as a person makes them.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod again;
mod circuits;
#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod kills;
mod processes;
mod records;
mod refusals;
mod similarity;
mod studio;
#[path = "../support/mod.rs"]
mod support;
mod training;
