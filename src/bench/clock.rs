//! Rounds of one piece of work, and what their times say.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::What;
use crate::{Result, platform::interrupt};

/// Fewer rounds than this have no spread.
const FEWEST: usize = 3;
/// More of them tell nothing new.
const MOST: usize = 1000;

/// What was measured of one piece of work.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was done.
    pub what: What,
    /// Which kind of it, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// How many of the CPU's threads computed, or fed the device.
    pub threads: usize,
    /// How many items were done together.
    pub batch: usize,
    /// What an item is: "image", "text", "step", "start".
    pub item: &'static str,
    /// How often it was done.
    pub rounds: usize,
    /// Items in a second, by the median of the wall time.
    pub per_second: f64,
    /// Wall time of an item.
    pub wall_ms: Spread,
    /// Processor time of an item, that of all threads together; where the system tells it.
    pub processor_ms: Option<Spread>,
    /// The process's largest resident size meanwhile, all that it had loaded included; where the system tells it.
    pub peak_memory_mib: Option<f64>,
}

/// A round's time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Lap {
    /// By the clock.
    pub wall: Duration,
    /// Of the processor, on all threads of this process together.
    pub processor: Option<Duration>,
}

/// Milliseconds, of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The first quartile.
    pub q1: f64,
    /// The third quartile.
    pub q3: f64,
}

impl Spread {
    /// Of at least one value; quartiles lie between neighbours in proportion, as numpy has them.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Self { median: at(0.5), min: at(0.0), q1: at(0.25), q3: at(0.75) }
    }
}

impl Measurement {
    /// What `laps`, at least one, say of rounds of `batch` items.
    pub fn of(what: What, case: Option<&str>, threads: usize, batch: usize, laps: &[Lap]) -> Self {
        let item = match what {
            What::First => "start",
            What::Pictures | What::Files | What::Images => "image",
            What::Texts => "text",
            What::Steps | What::Unet => "step",
        };
        // A training step is one item whatever its batch is, and so is a step of denoising.
        let items = if matches!(what, What::Steps | What::Unet) { 1 } else { batch };
        let per_item = |time: Duration| time.as_secs_f64() * 1e3 / items as f64;
        let wall_ms = Spread::of(laps.iter().map(|lap| per_item(lap.wall)).collect());
        let processor: Option<Vec<f64>> = laps.iter().map(|lap| lap.processor.map(per_item)).collect();
        Self {
            what,
            case: case.map(str::to_owned),
            threads,
            batch,
            item,
            rounds: laps.len(),
            per_second: 1e3 / wall_ms.median,
            wall_ms,
            processor_ms: processor.map(Spread::of),
            peak_memory_mib: None,
        }
    }

    /// The same with the memory that it took.
    #[must_use]
    pub fn with_memory(self, peak_memory_mib: Option<f64>) -> Self {
        Self { peak_memory_mib, ..self }
    }
}

/// Does `work` once for the caches, then for `seconds`, at least three times; fewer times, also never, where the program is asked
/// to stop.
///
/// # Errors
/// What `work` fails with.
pub fn laps(seconds: f64, mut work: impl FnMut() -> Result<()>) -> Result<Vec<Lap>> {
    let mut laps = Vec::new();
    if interrupt::asked() {
        return Ok(laps);
    }
    work()?;
    let start = Instant::now();
    while !interrupt::asked() && laps.len() < MOST && (laps.len() < FEWEST || start.elapsed().as_secs_f64() < seconds) {
        let (wall, processor) = (Instant::now(), processor_time());
        work()?;
        let (wall, now) = (wall.elapsed(), processor_time());
        laps.push(Lap { wall, processor: now.zip(processor).map(|(now, before)| now.saturating_sub(before)) });
    }
    Ok(laps)
}

/// Processor time of this process so far, on all threads together.
#[cfg(unix)]
pub fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Processor time of this process so far, which this system is not asked for.
#[cfg(not(unix))]
pub fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_numpys() {
        // numpy.percentile([3, 1, 4, 1, 5, 9], [50, 0, 25, 75])
        let spread = Spread::of(vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0]);
        assert_eq!(spread, Spread { median: 3.5, min: 1.0, q1: 1.5, q3: 4.75 });
        assert_eq!(Spread::of(vec![2.0]), Spread { median: 2.0, min: 2.0, q1: 2.0, q3: 2.0 });
    }

    #[test]
    fn a_training_step_is_one_item_and_a_batch_of_images_is_many() {
        let lap = Lap { wall: Duration::from_millis(40), processor: Some(Duration::from_millis(80)) };
        let of = |what| Measurement::of(what, None, 2, 8, &[lap; 3]);
        assert_eq!((of(What::Images).wall_ms.median, of(What::Images).per_second), (5.0, 200.0));
        assert_eq!((of(What::Steps).wall_ms.median, of(What::Steps).per_second), (40.0, 25.0));
        assert_eq!(of(What::Images).processor_ms.map(|spread| spread.median), Some(10.0));
    }

    #[test]
    fn short_work_is_done_for_as_long_as_was_said_and_long_work_three_times() {
        let mut done = 0;
        let found = laps(0.0, || {
            done += 1;
            Ok(())
        });
        assert_eq!((found.unwrap().len(), done), (FEWEST, FEWEST + 1));
        let pause = Duration::from_millis(2);
        let found = laps(0.05, || {
            std::thread::sleep(pause);
            Ok(())
        });
        let found = found.unwrap();
        assert!(found.len() > FEWEST && found.len() <= 26, "{}", found.len());
        assert!(found.iter().all(|lap| lap.wall >= pause));
    }
}
