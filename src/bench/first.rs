//! The way to the first answer: a process starts, loads a model, and classifies a picture, and then another.
//!
//! Only a process of its own is cold, so whoever measures this starts one a round. It tells each stage by a line of JSON, and whoever
//! started it looks at the clock when the line comes.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Measurement, What,
    clock::{Lap, processor_time},
    machine::peak_memory_mib,
};
use crate::{
    Error, Result,
    adapter::{self, FewShot, Method, Recipe},
    clip::ClipBackend,
    data::{decode::decode_for, templates},
    platform::interrupt,
    session::Backbone,
};

/// A tile of 64 px that is classified.
pub const TILE: &[u8] = include_bytes!("../../samples/eurosat/2750/Residential/Residential_1002.jpg");
const CLASSES: [&str; 3] = ["houses", "forest", "river"];
/// Rounds, each of which loads the model anew.
const ROUNDS: usize = 5;

/// What a process has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The model is loaded.
    Load,
    /// The first picture's classes are known.
    First,
    /// So are those of another, on the same way.
    Next,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Load, Self::First, Self::Next];

    fn name(self) -> &'static str {
        match self {
            Self::Load => "start to loaded",
            Self::First => "loaded to first answer",
            Self::Next => "next answer",
        }
    }
}

/// A line of such a process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Told {
    /// How far it has come.
    pub stage: Stage,
    /// Its processor time so far.
    pub processor: Option<Duration>,
    /// Its largest resident size so far.
    pub peak_memory_mib: Option<f64>,
}

/// Is such a process: `load`s a model and classifies a picture twice, and tells of each stage.
///
/// # Errors
/// Of loading.
pub fn answer<B: ClipBackend>(load: impl FnOnce() -> Result<Backbone<B>>, mut tell: impl FnMut(Told)) -> Result<()> {
    let mut tell = |stage| tell(Told { stage, processor: processor_time(), peak_memory_mib: peak_memory_mib() });
    let backbone = load()?;
    tell(Stage::Load);
    let classes = CLASSES.map(str::to_owned);
    let text = backbone.class_weights(&templates::prompts(&[templates::DEFAULT.to_owned()], &classes));
    let features = text.clone().slice([0..0, 0..backbone.config.embedding]);
    let few_shot = FewShot { text, features, labels: Vec::new(), val: None, scale: backbone.clip.logit_scale };
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    let classifier = pollster::block_on(adapter::fit(Recipe::from(Method::ZeroShot), &few_shot, 0, go_on))?;
    for stage in [Stage::First, Stage::Next] {
        let pixels = decode_for(&backbone.preprocess, TILE, "the tile")?;
        pollster::block_on(adapter::scores(classifier.as_ref(), backbone.image_features(&[pixels])))?;
        tell(stage);
    }
    Ok(())
}

/// Measures processes that [`answer`], each started by `command` with so many threads; fewer of them, also none, where the program is
/// asked to stop.
///
/// # Errors
/// Of `command`; a process that does not start, or fails.
pub fn measure(mut command: impl FnMut(usize) -> Result<Command>, threads: &[usize]) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for &threads in threads {
        let mut laps: [Vec<Lap>; 3] = Default::default();
        let mut memory: [Option<f64>; 3] = [None; 3];
        for _ in 0..ROUNDS {
            if interrupt::asked() {
                break;
            }
            let Some(round) = round(command(threads)?)? else { break };
            for ((laps, memory), (lap, peak)) in laps.iter_mut().zip(&mut memory).zip(round) {
                laps.push(lap);
                *memory = peak.into_iter().chain(*memory).reduce(f64::max);
            }
        }
        let stages = Stage::ALL.into_iter().zip(laps).zip(memory).filter(|((_, laps), _)| !laps.is_empty());
        found.extend(stages.map(|((stage, laps), memory)| {
            Measurement::of(What::First, Some(stage.name()), threads, 1, &laps).with_memory(memory)
        }));
    }
    Ok(found)
}

/// Time and memory of each stage of one process.
type Round = [(Lap, Option<f64>); 3];

/// One process; nothing where both it and this program were asked to stop.
fn round(mut command: Command) -> Result<Option<Round>> {
    let failed = |why: &str| Error::Failed(format!("the process that was to give the first answer {why}"));
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| failed(&format!("does not start: {error}")))?;
    let lines = BufReader::new(child.stdout.take().ok_or_else(|| failed("says nothing"))?).lines();
    let (mut before, mut processor_before) = (start, Some(Duration::ZERO));
    let mut round = Vec::new();
    for line in lines.map_while(Result::ok) {
        let now = Instant::now();
        let told: Told = serde_json::from_str(&line).map_err(|_| failed(&format!("says {line:?}")))?;
        let processor = told.processor.zip(processor_before).map(|(now, before)| now.saturating_sub(before));
        round.push((Lap { wall: now - before, processor }, told.peak_memory_mib));
        (before, processor_before) = (now, told.processor);
    }
    let status = child.wait().map_err(|error| failed(&format!("is lost: {error}")))?;
    match <[(Lap, Option<f64>); 3]>::try_from(round) {
        Ok(round) if status.success() => Ok(Some(round)),
        _ if interrupt::asked() => Ok(None),
        _ => Err(failed(&format!("ended with {status}; what it said is above"))),
    }
}
