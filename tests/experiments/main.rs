//! Experiments: sweeps over many runs, by one process, several, and a scheduler; and what many runs say together.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used)]

#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod expansion;
mod failures;
mod interrupted;
mod processes;
mod report;
mod shards;
mod slurm;
mod submit;
mod sweep_folder;
mod tensorboard;
