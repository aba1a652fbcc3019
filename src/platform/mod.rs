//! What differs between a machine and a browser: files, storage, clock.

#[cfg(feature = "native")]
pub mod interrupt;
#[cfg(feature = "native")]
pub mod models;
#[cfg(feature = "native")]
pub mod native;
