//! Independent tasks on Workers that share this one's memory.

use std::sync::{Mutex, PoisonError};

use super::pool::Pool;

/// The Worker that has the session calls; those that [`help`] have nothing else to do.
static POOL: Pool = Pool::new();

/// Helps for ever.
pub fn help() -> ! {
    POOL.expect_helper();
    POOL.help()
}

/// Runs `task(0)` … `task(count − 1)`, in any order and on any of the Workers.
pub fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    POOL.for_each(count, &task);
}

/// How many tasks may run at once.
pub fn threads() -> usize {
    POOL.threads()
}

/// `[task(0), …, task(count − 1)]`, computed as above.
pub fn map<T: Send>(count: usize, task: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    for_each(count, |index| {
        let result = task(index);
        *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    });
    results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
