//! **lowshot** teaches CLIP a person's own classes from a handful of photos.
//!
//! Three thin shells (the command line, the page, the tests) stand over one core:
//!
//! | module | what it is |
//! |---|---|
//! | [`clip`] | the backbone: image and text towers, tokenizer, preprocessing |
//! | [`adapter`] | one few-shot method a file, behind one trait |
//! | [`train`] | objective, schedule, optimiser steps, metrics |
//! | [`data`] | data sets, splits, few-shot lists, sampler |
//! | [`weights`] | safetensors in and out, key names, the adapter file |
//! | [`session`] | classes + shots + backbone + adapter, held together |
//! | [`platform`] | what differs between a machine and a browser |
//!
//! With the feature `native` there are also the experiment runner, measurements of speed, the page's server and the command line, with the feature `web` what
//! a browser's Worker calls. ARCHITECTURE.md says which module may know what.

#![cfg_attr(feature = "candle", allow(deprecated, reason = "Burn gives candle up; here it is an independent check"))]

pub mod adapter;
pub mod clip;
pub mod data;
pub mod error;
pub mod hash;
pub mod platform;
pub mod session;
pub mod train;
pub mod weights;

#[cfg(feature = "native")]
pub mod augment;
#[cfg(feature = "native")]
pub mod bench;
#[cfg(feature = "native")]
pub mod cli;
#[cfg(feature = "native")]
pub mod diffusion;
#[cfg(feature = "native")]
pub mod experiment;
#[cfg(feature = "native")]
pub mod serve;
#[cfg(feature = "web")]
pub mod web;

pub use error::{Error, Result};
