//! Plan, run, result: what the command line does for researchers.

pub mod dataset;
