//! Work done ahead of its use: on several threads, handed over in order, and never more of it than was said.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::Scope,
    time::{Duration, Instant},
};

/// Results of jobs, in the jobs' order, whichever is done first.
///
/// Jobs are taken as results are asked for, so that at most `most` of them are under way or done and not yet handed over. The
/// threads are not the CPU backend's: one that waits for a disk holds up no tower, and the operating system shares the
/// processors out between both.
pub struct Ahead<I: Iterator, T> {
    jobs: I,
    queue: Sender<(I::Item, Sender<T>)>,
    under_way: VecDeque<Receiver<T>>,
    most: usize,
    waited: Duration,
}

impl<I: Iterator, T> Ahead<I, T> {
    /// Does `work` for each of `jobs` on `threads` threads of `scope`, which end when this value is dropped.
    pub fn start<'scope, F>(scope: &'scope Scope<'scope, '_>, threads: usize, most: usize, jobs: I, work: F) -> Self
    where
        I::Item: Send + 'scope,
        T: Send + 'scope,
        F: Fn(I::Item) -> T + Clone + Send + 'scope,
    {
        let (queue, waiting) = mpsc::channel::<(I::Item, Sender<T>)>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let (waiting, work) = (Arc::clone(&waiting), work.clone());
            scope.spawn(move || {
                // The lock is held while waiting for a job, not while doing it.
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((job, place)) = next() {
                    // Nobody waits for it any more where the whole was given up.
                    let _ = place.send(work(job));
                }
            });
        }
        Self { jobs, queue, under_way: VecDeque::new(), most: most.max(1), waited: Duration::ZERO }
    }

    /// How long results were waited for, all together.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<I: Iterator, T> Iterator for Ahead<I, T> {
    type Item = T;

    /// The next job's result; none also where its thread panicked, which the scope passes on.
    fn next(&mut self) -> Option<T> {
        while self.under_way.len() < self.most
            && let Some(job) = self.jobs.next()
        {
            let (place, result) = mpsc::channel();
            self.queue.send((job, place)).ok()?;
            self.under_way.push_back(result);
        }
        let first = self.under_way.pop_front()?;
        let start = Instant::now();
        let result = first.recv().ok();
        self.waited += start.elapsed();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_and_few_are_ahead() {
        for threads in [1, 3, 8] {
            let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let most_ahead = AtomicUsize::new(0);
            let work = |job: usize| {
                let ahead = begun.fetch_add(1, Ordering::SeqCst) + 1 - taken.load(Ordering::SeqCst);
                most_ahead.fetch_max(ahead, Ordering::SeqCst);
                // The first of each five takes longest.
                thread::sleep(Duration::from_micros(if job.is_multiple_of(5) { 500 } else { 10 }));
                job * job
            };
            let work = &work;
            let results: Vec<usize> = thread::scope(|scope| {
                let results = Ahead::start(scope, threads, 6, 0..200, work);
                results.inspect(|_| _ = taken.fetch_add(1, Ordering::SeqCst)).collect()
            });
            assert_eq!(results, (0..200).map(|job| job * job).collect::<Vec<_>>());
            let most_ahead = most_ahead.load(Ordering::SeqCst);
            assert!((1..=6).contains(&most_ahead), "{most_ahead} with {threads} threads");
        }
    }

    #[test]
    fn what_is_given_up_ends_the_threads() {
        let done = AtomicUsize::new(0);
        let work = |job: usize| {
            done.fetch_add(1, Ordering::SeqCst);
            job
        };
        let work = &work;
        thread::scope(|scope| assert_eq!(Ahead::start(scope, 2, 4, 0.., work).nth(9), Some(9)));
        // The scope waits for its threads, so that here none runs.
        assert!(done.load(Ordering::SeqCst) <= 13);
    }

    #[test]
    fn waiting_is_counted() {
        let work = &|_| thread::sleep(Duration::from_millis(5));
        thread::scope(|scope| {
            let mut slow = Ahead::start(scope, 1, 1, 0..4, work);
            assert_eq!((slow.waited(), slow.by_ref().count()), (Duration::ZERO, 4));
            assert!(slow.waited() > Duration::ZERO);
        });
    }
}
