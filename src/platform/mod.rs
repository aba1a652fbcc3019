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

#[cfg_attr(feature = "native", path = "parallel_on.rs")]
#[cfg_attr(not(feature = "native"), path = "parallel_off.rs")]
pub(crate) mod parallel;
#[cfg(feature = "native")]
pub use parallel::join_pool;
