//! Which of several kernels is the fastest on a GPU, CubeCL measures when it first meets a shape. What it found is kept in this
//! program's own cache, so that it is measured once a GPU and not once a run.
//!
//! Only the CUDA backend is built with autotune (and what else is in the same program): on software adapters a measurement takes
//! seconds an operation.

use std::{path::PathBuf, sync::Once};

use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};

use super::native;

/// Where it is kept: a folder in the [cache](native::cache_folder). Nowhere where there is no cache.
pub fn folder() -> Option<PathBuf> {
    native::cache_folder().ok().map(|cache| cache.join("kernels"))
}

/// Says so to CubeCL, before it is first used. A `cubecl.toml` that names a place of its own is left that.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(folder) = folder() else { return };
        // Who uses the library may have set it.
        if CubeClRuntimeConfig::storage().lock().is_some() {
            return;
        }
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        if matches!(config.autotune.cache, CacheConfig::Target) {
            config.autotune.cache = CacheConfig::File(folder);
        }
        CubeClRuntimeConfig::set(config);
    });
}
