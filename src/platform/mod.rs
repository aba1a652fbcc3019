//! What differs between a machine and a browser: files, and how many things happen at once.

#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub mod autotune;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(feature = "native")]
pub mod fault;
#[cfg(feature = "wgpu")]
pub mod gpu;
#[cfg(feature = "native")]
pub mod homes;
#[cfg(feature = "native")]
pub mod hub;
#[cfg(feature = "native")]
pub mod interrupt;
#[cfg(feature = "native")]
pub mod models;
#[cfg(feature = "native")]
pub mod native;
#[cfg(any(feature = "cuda", all(feature = "native", test)))]
pub mod nvidia;
#[cfg(feature = "native")]
pub mod pipelines;

#[cfg_attr(feature = "native", path = "parallel_native.rs")]
#[cfg_attr(feature = "threads", path = "parallel_shared.rs")]
#[cfg_attr(not(any(feature = "native", feature = "threads")), path = "parallel_one.rs")]
pub(crate) mod parallel;
#[cfg(any(feature = "native", feature = "threads"))]
mod pool;
#[cfg(feature = "native")]
pub use parallel::join_pool;
