//! Which of training's timesteps the steps of sampling take (Lin et al., 2024, table 2), as diffusers computes them.

use super::SchedulerKind;
use super::config::{SchedulerConfig, TimestepSpacing};
use super::level::linspace;
use crate::Result;

/// Timesteps below `range` for `steps` steps, descending. Leading and linear spacing place `beyond` more, and leave those away at the
/// low end. Linear spacing gives fractions, which most schedulers round.
pub(super) fn timesteps(
    config: &SchedulerConfig,
    kind: SchedulerKind,
    range: usize,
    steps: usize,
    beyond: usize,
) -> Result<Vec<f64>> {
    let points = steps + beyond;
    let timesteps: Vec<f64> = match config.spacing(kind)? {
        TimestepSpacing::Linspace => linspace(0.0, range as f64 - 1.0, points).into_iter().skip(beyond).rev().collect(),
        TimestepSpacing::Leading => {
            let ratio = range / points;
            (beyond..points).rev().map(|index| (index * ratio) as f64 + config.steps_offset() as f64).collect()
        }
        TimestepSpacing::Trailing => {
            // NumPy's `arange(range, 0, -ratio)`: so many, and computed so.
            let (range, ratio) = (range as f64, config.trained() as f64 / steps as f64);
            let step = (range - ratio) - range;
            let count = (range / ratio).ceil() as usize;
            (0..count).map(|index| (range + index as f64 * step).round_ties_even() - 1.0).collect()
        }
    };
    Ok(timesteps)
}
