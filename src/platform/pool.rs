//! Fork and join among threads that somebody else has started: what rayon is natively, for Workers that share a memory.
//!
//! A tower takes a hundred parallel steps a picture, many of them no longer than a thread takes to fall asleep and be woken, and a
//! Worker takes longer than a native thread. So who has nothing to do looks for work a while before it sleeps, and who shares work
//! out waits for nobody who has not come: it does what is left itself.

use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::yield_now,
};

/// How often somebody looks before falling asleep. Natively it takes some two milliseconds: a thread that is asleep is often woken on the
/// processor of who wakes it, and stays there for as long as a text takes; one that looks on is moved to a free one. In a browser
/// some tens of microseconds, which a step takes: a visitor's battery counts too.
const LOOKS: usize = 30_000;
/// Who looks on where there is no free processor lets others go first so often; a Worker cannot.
const BETWEEN_YIELDS: usize = 16;

type Task = dyn Fn(usize) + Sync;

/// In cache lines of its own, so that who counts holds up nobody who looks on.
#[repr(align(128))]
struct Alone(AtomicUsize);

/// One caller at a time and its helpers.
pub struct Pool {
    /// Odd while there is work to be taken, even otherwise; never the same for two pieces of work.
    turn: AtomicUsize,
    /// Written by the caller alone, between turns, when nobody is inside.
    work: UnsafeCell<Option<(*const Task, usize)>>,
    /// The first task that nobody has taken.
    next: Alone,
    /// Helpers that are at this turn's work.
    inside: Alone,
    /// What a helper's task has panicked with.
    panicked: Mutex<Option<Box<dyn Any + Send>>>,
    /// Somebody has shared work out.
    busy: AtomicBool,
    helpers: AtomicUsize,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    changed: Condvar,
}

// SAFETY: `work` is written by the one caller that has made the pool busy while nobody is inside, and read by those inside only.
unsafe impl Sync for Pool {}

impl Pool {
    /// Nobody's yet.
    pub const fn new() -> Self {
        Self {
            turn: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            next: Alone(AtomicUsize::new(0)),
            inside: Alone(AtomicUsize::new(0)),
            panicked: Mutex::new(None),
            busy: AtomicBool::new(false),
            helpers: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Helpers and the caller.
    pub fn threads(&self) -> usize {
        1 + self.helpers.load(SeqCst)
    }

    /// Runs `task(0)` … `task(count − 1)`, in any order, on this thread and on helpers that come; alone where the pool is at work
    /// already, as it is for a task of its own.
    ///
    /// # Panics
    /// Where a task has, with what it has.
    pub fn for_each(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if count <= 1 || self.threads() == 1 || self.busy.swap(true, SeqCst) {
            (0..count).for_each(task);
            return;
        }
        // SAFETY: the lifetime is taken off, and kept all the same: nobody has the task any more when this returns.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), *const Task>(task) };
        // SAFETY: this is the only caller, since the pool was not busy, and the turn before ended with nobody inside.
        unsafe { *self.work.get() = Some((task, count)) };
        self.next.0.store(0, SeqCst);
        self.turn.fetch_add(1, SeqCst);
        self.wake();
        let mine = catch_unwind(AssertUnwindSafe(|| self.take()));
        self.turn.fetch_add(1, SeqCst);
        self.wait_until(|| self.inside.0.load(SeqCst) == 0);
        let theirs = lock(&self.panicked).take();
        self.busy.store(false, SeqCst);
        if let Some(what) = mine.err().or(theirs) {
            resume_unwind(what);
        }
    }

    /// Counts a helper, which will come soon: work is cut into more pieces from now on, and nobody waits for it.
    pub fn expect_helper(&self) {
        self.helpers.fetch_add(1, SeqCst);
    }

    /// Helps whoever shares work out, for ever.
    pub fn help(&self) -> ! {
        let mut seen = 0;
        loop {
            self.wait_until(|| self.turn.load(SeqCst) != seen);
            seen = self.turn.load(SeqCst);
            if seen % 2 == 1 {
                self.inside.0.fetch_add(1, SeqCst);
                // Only now is it sure that the caller waits: it closes the turn before it looks who is inside.
                if self.turn.load(SeqCst) == seen
                    && let Err(what) = catch_unwind(AssertUnwindSafe(|| self.take()))
                {
                    *lock(&self.panicked) = Some(what);
                }
                if self.inside.0.fetch_sub(1, SeqCst) == 1 {
                    self.wake();
                }
            }
        }
    }

    /// Runs tasks as long as there are any.
    fn take(&self) {
        // SAFETY: it is a turn, and this thread is its caller or inside.
        let Some((task, count)) = (unsafe { *self.work.get() }) else { return };
        // SAFETY: the caller holds the task until everybody has left.
        let task = unsafe { &*task };
        loop {
            let index = self.next.0.fetch_add(1, SeqCst);
            if index >= count {
                return;
            }
            task(index);
        }
    }

    /// Looks a while, then sleeps until something has changed.
    fn wait_until(&self, done: impl Fn() -> bool) {
        for look in 1..=LOOKS {
            if done() {
                return;
            }
            if look % BETWEEN_YIELDS == 0 {
                yield_now();
            } else {
                spin_loop();
            }
        }
        let mut guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, SeqCst);
        while !done() {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }

    /// Wakes who sleeps. Whoever falls asleep meanwhile has counted itself first and looks once more.
    fn wake(&self) {
        if self.sleepers.load(SeqCst) > 0 {
            let _guard = lock(&self.sleep);
            self.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        thread,
        time::Duration,
    };

    use super::*;

    /// Test threads that never end hold the pool for ever.
    fn pool(helpers: usize) -> &'static Pool {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
        for _ in 0..helpers {
            pool.expect_helper();
            thread::spawn(|| pool.help());
        }
        pool
    }

    /// How often each task ran.
    fn counted(pool: &Pool, count: usize, before: impl Fn(usize) + Sync) -> Vec<usize> {
        let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        pool.for_each(count, &|index| {
            before(index);
            runs[index].fetch_add(1, SeqCst);
        });
        runs.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_runs_once_before_the_call_returns() {
        for helpers in [0, 1, 3] {
            let pool = pool(helpers);
            for count in (0..200).cycle().take(20_000) {
                assert_eq!(counted(pool, count, |_| ()), vec![1; count], "{helpers} helpers");
            }
        }
    }

    #[test]
    fn those_asleep_are_woken() {
        let pool = pool(2);
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(5));
            let threads = Mutex::new(std::collections::HashSet::new());
            counted(pool, 12, |_| {
                thread::sleep(Duration::from_millis(1));
                threads.lock().unwrap().insert(thread::current().id());
            });
            assert_eq!(threads.into_inner().unwrap().len(), 3);
        }
    }

    #[test]
    fn a_task_may_share_out_work_and_so_may_other_threads() {
        let pool = pool(2);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        counted(pool, 8, |_| assert_eq!(counted(pool, 5, |_| ()), vec![1; 5]));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = pool(2);
        let caller = thread::current().id();
        for on_the_caller in [true, false, true, false] {
            let failing = catch_unwind(AssertUnwindSafe(|| {
                counted(pool, 6, |_| {
                    thread::sleep(Duration::from_millis(5));
                    assert!((thread::current().id() == caller) != on_the_caller, "on purpose");
                });
            }));
            let what = failing.expect_err("it has panicked");
            assert_eq!(what.downcast_ref::<&str>(), Some(&"on purpose"), "on the caller: {on_the_caller}");
            assert_eq!(counted(pool, 50, |_| ()), vec![1; 50]);
        }
    }
}
