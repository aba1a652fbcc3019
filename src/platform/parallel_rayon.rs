//! Independent tasks on rayon's current pool.

use rayon::{ThreadPoolBuilder, prelude::*};

/// Makes this thread one of the pool's, unless the pool is at work already: a thread that is not hands every parallel step over and
/// sleeps until it is woken, which takes longer than a small product. For a program's main thread.
pub fn join_pool() {
    // A pool of this thread alone would do nothing for others while it waits for them; a single thread hands nothing over anyway.
    let threads =
        std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse().ok()).filter(|&number| number > 0);
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    if threads.unwrap_or_else(available) > 1 {
        // It only fails where there is a pool.
        let _ = ThreadPoolBuilder::new().use_current_thread().build_global();
    }
}

/// Runs `task(0)` … `task(count − 1)`, in any order and on any thread of the pool.
pub fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    if count == 1 || threads() == 1 {
        (0..count).for_each(task);
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
