//! Training through the towers: against PyTorch and PEFT, against finite differences, and against itself.
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod counts;
mod differences;
mod equalities;
mod graph;
mod problem;
mod reference;
mod refusals;
mod resume;
#[path = "../support/mod.rs"]
mod support;
