//! What a page or a run holds: a backbone and, on it, classes, shots and an adapter.

pub mod backbone;
pub mod models;

pub use backbone::Backbone;
