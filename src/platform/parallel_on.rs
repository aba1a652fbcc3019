//! Independent tasks on rayon's current pool.

use rayon::prelude::*;

/// Runs `task(0)` … `task(count − 1)`, in any order and on any thread of the pool.
pub fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    if count == 1 {
        task(0);
    } else {
        (0..count).into_par_iter().for_each(task);
    }
}

/// How many tasks may run at once.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// `[task(0), …, task(count − 1)]`, computed as above.
pub fn map<T: Send>(count: usize, task: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    (0..count).into_par_iter().map(task).collect()
}
