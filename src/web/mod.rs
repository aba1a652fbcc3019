//! What a Worker sees of the core: the only folder that knows JavaScript's values.
//!
//! | file | what it is |
//! |---|---|
//! | [`picture`] | a photo's bytes → what the model sees, a thumbnail; needs no model |
//! | [`device`] | asking for a GPU, and not believing it before it has computed something known |
//! | [`gpu`] | the device itself, where this module was built for one |
//! | [`session`] | [`crate::session::Session`] on whichever device was chosen |
//! | `values` | what that is given and gives, as JavaScript's values |
//! | [`rung`] | a method judged and learnt, a slice of time a call |
//! | [`hash`] | SHA-256 in pieces |
//! | [`error`] | one line and its kind |
//! | [`threads`] | Workers that share this one's memory, where this module was built for it |
//! | [`console`] | what libraries log |
//!
//! Every function that computes is asynchronous, and one object does one thing at a time: the Worker queues.

#![allow(clippy::large_futures, reason = "promises put them on the heap")]

pub mod console;
pub mod device;
pub mod error;
#[cfg_attr(feature = "webgpu", path = "gpu_on.rs")]
#[cfg_attr(not(feature = "webgpu"), path = "gpu_off.rs")]
pub mod gpu;
pub mod hash;
pub mod picture;
pub mod rung;
pub mod session;
#[cfg(feature = "threads")]
pub mod threads;
mod values;

use wasm_bindgen::prelude::*;

/// Runs when the module is loaded: a panic says on the console where it was, and so do libraries.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    console::listen();
}

/// This crate's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}
