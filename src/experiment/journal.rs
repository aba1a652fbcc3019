//! What happened in a run, as the lines of `events.jsonl`, also over interruptions.

use std::path::Path;

use super::{Event, Observer};
use crate::{Result, platform::native};

/// The file's name in a run's folder.
pub const EVENTS: &str = "events.jsonl";

/// Passes events on and keeps those that are worth a line.
pub struct Journal<'a> {
    observer: &'a mut dyn Observer,
    lines: Vec<String>,
    /// Lines of the process that was interrupted, as many of them as the checkpoint knows of.
    earlier: Vec<String>,
}

impl<'a> Journal<'a> {
    /// An empty journal.
    pub fn new(observer: &'a mut dyn Observer) -> Self {
        Self { observer, lines: Vec::new(), earlier: Vec::new() }
    }

    /// Goes on from the journal in an interrupted run's folder.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn go_on(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(EVENTS);
        if path.exists() {
            let bytes = native::read(&path)?;
            self.earlier = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        }
        Ok(())
    }

    /// The text of `events.jsonl`.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.earlier.iter().chain(&self.lines).map(String::as_str).collect();
        lines.join("\n") + "\n"
    }
}

impl Observer for Journal<'_> {
    fn observe(&mut self, event: &Event) {
        self.observer.observe(event);
        if matches!(event, Event::Progress { .. } | Event::Generating { .. }) {
            return;
        }
        if let Event::Step(now) = event {
            // What the interrupted process did after its last checkpoint is done again.
            self.earlier.retain(|line| step_of(line).is_none_or(|step| step < now.step));
        }
        self.lines.extend(serde_json::to_string(event).ok());
    }
}

/// The step that a line is about.
fn step_of(line: &str) -> Option<usize> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["step"].as_u64().map(|step| step as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Step;

    #[test]
    fn a_step_that_is_done_again_has_one_line() {
        let step = |step| Event::Step(Step { step, steps: 9, loss: 1.0, learning_rate: None });
        let mut ignore = |_: &Event| {};
        let folder = tempfile::tempdir().unwrap();
        let mut first = Journal::new(&mut ignore);
        (1..=5).for_each(|number| first.observe(&step(number)));
        first.observe(&Event::Progress { what: "images", done: 1, total: 2 });
        std::fs::write(folder.path().join(EVENTS), first.text()).unwrap();
        let mut second = Journal::new(&mut ignore);
        second.go_on(folder.path()).unwrap();
        (4..=6).for_each(|number| second.observe(&step(number)));
        let text = second.text();
        let steps: Vec<usize> = text.lines().filter_map(step_of).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    }
}
