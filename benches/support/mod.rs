//! What the benchmarks share: being asked by `benches/peers/turns.py`, a line at a time.
#![allow(clippy::print_stdout, dead_code)]

use std::{
    io::{BufRead, Write},
    time::Instant,
};

/// The argument after `flag`, where it is given.
pub fn after(flag: &str) -> Option<String> {
    let mut arguments = std::env::args();
    arguments.find(|argument| argument == flag).map(|_| arguments.next().expect("a value after the flag"))
}

/// Answers each line of standard input: milliseconds, or numbers to be compared.
pub fn serve(mut answer: impl FnMut(&str) -> Vec<f64>) {
    // As the program's main thread is.
    lowshot::platform::join_pool();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let numbers = answer(&line.expect("standard input is text"));
        println!("{}", numbers.iter().map(|number| format!("{number:e}")).collect::<Vec<_>>().join(" "));
        std::io::stdout().flush().expect("standard output is open");
    }
}

/// Milliseconds of one run.
pub fn milliseconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64() * 1e3
}

/// The median and the least of some times.
pub fn summary(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}
