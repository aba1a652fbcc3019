//! Independent tasks: of the program's main thread on a pool of its own, of any other on rayon's.

use std::{cell::Cell, thread};

use rayon::{ThreadPoolBuilder, prelude::*};

use super::pool::Pool;

/// The main thread's. Rayon's threads fall asleep within some ten microseconds, and a picture takes a hundred parallel steps.
static POOL: Pool = Pool::new();

thread_local! {
    static IN_POOL: Cell<bool> = const { Cell::new(false) };
}

/// Gives this thread helpers: in a pool of ours for what this crate computes, in rayon's for the rest, of which it becomes one itself,
/// because handing a step over and sleeping until it is done takes longer than a small product. For a program's main thread.
pub fn join_pool() {
    // A single thread hands nothing over, and a pool of this thread alone would do nothing for others while it waits for them.
    let asked =
        std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse().ok()).filter(|&number| number > 0);
    let threads = asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    // It only fails where there is a pool.
    if threads == 1 || ThreadPoolBuilder::new().use_current_thread().build_global().is_err() {
        return;
    }
    IN_POOL.set(true);
    for _ in 1..threads {
        let helper = thread::Builder::new().name("lowshot".into()).spawn(|| {
            IN_POOL.set(true);
            POOL.help();
        });
        // Where the machine gives no thread, there is one fewer.
        if helper.is_ok() {
            POOL.expect_helper();
        }
    }
}

/// Runs `task(0)` … `task(count − 1)`, in any order and on any thread of the pool.
pub fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    if IN_POOL.get() {
        POOL.for_each(count, &task);
    } else if count == 1 || threads() == 1 {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().for_each(task);
    }
}

/// How many tasks may run at once.
pub fn threads() -> usize {
    if IN_POOL.get() { POOL.threads() } else { rayon::current_num_threads() }
}

/// `[task(0), …, task(count − 1)]`, computed as above.
pub fn map<T: Send>(count: usize, task: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    (0..count).into_par_iter().map(task).collect()
}
