//! Workers that share this one's memory: its threads, since a browser starts none by itself.
//!
//! Each of them instantiates the same module over the same memory and calls [`help`].

use wasm_bindgen::prelude::*;

use crate::platform::parallel;

/// Computes for the Worker that has the session. Never returns.
#[wasm_bindgen]
pub fn help() {
    parallel::help();
}
