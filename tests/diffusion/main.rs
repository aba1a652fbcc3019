//! Stable Diffusion computes what diffusers computes: `tests/parity/diffusion.py` writes the expected values.

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
