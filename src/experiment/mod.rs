//! What researchers run: a plan, the run folder it fills, its result.

pub mod ahead;
pub mod augmented;
pub mod dataset;
pub mod drawn;
pub mod execute;
pub mod features;
pub mod journal;
pub mod memory;
pub mod pictures;
pub mod plan;
pub mod report;
pub mod result;
pub mod run;
pub mod sweep;
pub mod tensorboard;
pub mod towers;
pub mod workbench;

use serde::{Deserialize, Serialize};

use crate::train::Step;

/// What happens while something runs; the same stream feeds the progress bar and `events.jsonl`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Something that the user should know.
    Note {
        /// One line.
        text: String,
    },
    /// So much of something is done.
    Progress {
        /// Of what.
        what: &'static str,
        /// Done so far.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// Pictures are being generated.
    Generating {
        /// Made so far, of those that were missing.
        done: usize,
        /// That were missing.
        total: usize,
        /// How long the rest will take at the pace so far; unknown at the start.
        seconds_left: Option<f64>,
    },
    /// Features were come by.
    Features {
        /// Of which images.
        what: &'static str,
        /// How.
        #[serde(flatten)]
        source: features::Source,
    },
    /// A training step.
    Step(Step),
    /// A training's time so far.
    Spent(Spent),
}

/// What a training through the towers has cost, interrupted processes included up to the checkpoint that was gone on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Steps done.
    pub after: usize,
    /// Seconds that they took.
    pub train: f64,
    /// Seconds of these in which no picture was ready.
    pub waiting: f64,
}

impl Event {
    /// A note.
    pub fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }
}

/// Whoever wants to know.
pub trait Observer {
    /// Called for each event, on the thread that computes.
    fn observe(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn observe(&mut self, event: &Event) {
        self(event);
    }
}
