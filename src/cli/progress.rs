//! What the user sees while something runs: a bar on a terminal, plain lines elsewhere; always on stderr.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Error,
    experiment::{Event, Observer, report::html::duration},
};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows events.
pub struct Progress {
    terminal: bool,
    bar: Option<(&'static str, ProgressBar)>,
    last_line: Instant,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        Self { terminal: stderr().is_terminal(), bar: None, last_line: Instant::now() }
    }

    /// `guesses` says that the bar adds how long the rest will take, by how fast it moves.
    fn show(&mut self, what: &'static str, done: usize, total: usize, detail: &str, guesses: bool) {
        if !self.terminal {
            if self.last_line.elapsed() >= LINE_EVERY {
                self.last_line = Instant::now();
                note(format!("{what}: {done}/{total} {detail}").trim_end());
            }
            return;
        }
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != what) {
            self.finish();
            let eta = if guesses { " {eta}" } else { "" };
            let style = format!("{{prefix:>16}} [{{bar:30}}] {{pos}}/{{len}} {{msg}}{eta}");
            let bar = ProgressBar::new(total as u64).with_prefix(what);
            if let Ok(style) = ProgressStyle::with_template(&style) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            self.bar = Some((what, bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_message(detail.to_owned());
            bar.set_position(done as u64);
        }
        if done >= total {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Progress { what, done, total } => self.show(what, *done, *total, "", true),
            Event::Step(step) => {
                self.show("training", step.step, step.steps, &format!("loss {:.4}", step.loss), true);
            }
            Event::Generating { done, total, seconds_left } => {
                let left = seconds_left.map(|seconds| format!("about {} left", roughly(seconds)));
                self.show("pictures", *done, *total, &left.unwrap_or_default(), false);
            }
            Event::Note { text } => {
                self.finish();
                note(&format!("note: {text}"));
            }
            Event::Features { .. } => self.finish(),
            Event::Spent(_) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A time that nobody knows better than to two digits.
fn roughly(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        seconds => duration(seconds),
    }
}

/// The one line of an error.
pub fn error(error: &Error) {
    note(&format!("lowshot: {}", error.to_string().replace('\n', " ")));
}

/// A line for the user that is no result. A reader that has gone away is no error.
pub fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
