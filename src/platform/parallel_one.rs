//! Independent tasks on the only thread that there is.

/// Runs `task(0)` … `task(count − 1)`.
pub fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    (0..count).for_each(task);
}

/// How many tasks may run at once.
pub fn threads() -> usize {
    1
}

/// `[task(0), …, task(count − 1)]`.
pub fn map<T: Send>(count: usize, task: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    (0..count).map(task).collect()
}
