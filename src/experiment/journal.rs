//! What happened in a run, as the lines of `events.jsonl`, also over interruptions.

use std::path::Path;

use super::{Event, Observer, Spent};
use crate::{Result, platform::native};

/// The file's name in a run's folder.
pub const EVENTS: &str = "events.jsonl";

/// Passes events on and keeps those that are worth a line.
pub struct Journal<'a> {
    observer: &'a mut dyn Observer,
    lines: Vec<String>,
    /// Lines of the process that was interrupted, as many of them as the checkpoint knows of.
    earlier: Vec<String>,
    /// What was spent by then.
    spent: Spent,
}

impl<'a> Journal<'a> {
    /// An empty journal.
    pub fn new(observer: &'a mut dyn Observer) -> Self {
        Self { observer, lines: Vec::new(), earlier: Vec::new(), spent: Spent::default() }
    }

    /// Goes on from the journal in an interrupted run's folder, whose checkpoint knows of `done` steps. What the interrupted
    /// process did after them is done again.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn go_on(&mut self, folder: &Path, done: usize) -> Result<()> {
        let path = folder.join(EVENTS);
        if path.exists() {
            let bytes = native::read(&path)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                let step = event["step"].as_u64().or(event["after"].as_u64());
                if step.is_some_and(|step| step > done as u64) {
                    continue;
                }
                if let Ok(spent) = serde_json::from_value(event) {
                    self.spent = spent;
                }
                self.earlier.push(line.to_owned());
            }
        }
        Ok(())
    }

    /// What interrupted processes have spent on the steps that were gone on from.
    pub fn spent(&self) -> Spent {
        self.spent
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
        let line = match event {
            Event::Spent(now) => {
                let (train, waiting) = (self.spent.train + now.train, self.spent.waiting + now.waiting);
                serde_json::to_string(&Event::Spent(Spent { after: now.after, train, waiting }))
            }
            other => serde_json::to_string(other),
        };
        self.lines.extend(line.ok());
    }
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
        let spent = |after, train| Event::Spent(Spent { after, train, waiting: train / 4.0 });
        (1..=3).for_each(|number| first.observe(&step(number)));
        first.observe(&spent(3, 8.0));
        (4..=5).for_each(|number| first.observe(&step(number)));
        first.observe(&spent(5, 16.0));
        first.observe(&Event::Progress { what: "images", done: 1, total: 2 });
        std::fs::write(folder.path().join(EVENTS), first.text()).unwrap();
        let mut second = Journal::new(&mut ignore);
        second.go_on(folder.path(), 3).unwrap();
        assert_eq!(second.spent(), Spent { after: 3, train: 8.0, waiting: 2.0 });
        (4..=6).for_each(|number| second.observe(&step(number)));
        second.observe(&spent(6, 12.0));
        let text = second.text();
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps: Vec<u64> = events.iter().filter_map(|event| event["step"].as_u64()).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
        let times: Vec<[f64; 3]> = (events.iter().filter(|event| event["event"] == "spent"))
            .map(|event| ["after", "train", "waiting"].map(|key| event[key].as_f64().unwrap()))
            .collect();
        assert_eq!(times, [[3.0, 8.0, 2.0], [6.0, 20.0, 5.0]]);
    }
}
