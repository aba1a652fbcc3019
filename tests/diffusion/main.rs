//! Stable Diffusion computes what diffusers computes: `tests/parity/diffusion.py` writes the expected values.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod networks;
mod pictures;
mod precision;
mod reference;
mod refusals;
mod schedules;
mod small_pipeline;
mod taef2;
