//! Axes whose ticks are round numbers.

/// A range with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Lower end: the first tick.
    pub low: f64,
    /// Upper end: the last tick.
    pub high: f64,
    /// Round numbers from `low` to `high`.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// The shortest axis of about `most` ticks at multiples of 1, 2 or 5 times a power of ten that holds `low` and `high`,
    /// and stays within `bounds`.
    pub fn new(low: f64, high: f64, most: usize, bounds: [f64; 2]) -> Self {
        // A single value gets some room around it, of which only what is possible is kept.
        let room = if high - low > 1e-9 { 0.0 } else { 0.5 };
        let (low, high) = ((low - room).max(bounds[0]), (high + room).min(bounds[1]));
        let rough = (high - low) / most.max(2) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough - 1e-12);
        let step = step.unwrap_or(10.0 * power);
        let first = (low / step + 1e-9).floor() as i64;
        let last = (high / step - 1e-9).ceil() as i64;
        let ticks: Vec<f64> = (first..=last.max(first + 1)).map(|tick| tick as f64 * step).collect();
        Self { low: ticks[0], high: ticks[ticks.len() - 1], ticks }
    }

    /// Where a value is between the ends, 0..1.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_the_range() {
        for (low, high, ticks) in [
            (41.3, 88.9, &[40.0, 50.0, 60.0, 70.0, 80.0, 90.0][..]),
            (83.1, 85.2, &[83.0, 83.5, 84.0, 84.5, 85.0, 85.5]),
            (0.0, 100.0, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (97.2, 104.0, &[97.0, 97.5, 98.0, 98.5, 99.0, 99.5, 100.0]),
        ] {
            let axis = Axis::new(low, high, 6, [0.0, 100.0]);
            assert!(axis.ticks.len() == ticks.len(), "{low} to {high}: {:?}", axis.ticks);
            assert!(
                axis.ticks.iter().zip(ticks).all(|(a, b)| (a - b).abs() < 1e-9),
                "{low} to {high}: {:?}",
                axis.ticks
            );
        }
    }

    #[test]
    fn a_single_value_has_an_axis_too() {
        let axis = Axis::new(50.0, 50.0, 5, [0.0, 100.0]);
        assert!(axis.low < 50.0 && 50.0 < axis.high);
        assert!((axis.place(50.0) - 0.5).abs() < 1e-9);
        // Every method right, or none.
        for (value, place) in [(100.0, 1.0), (0.0, 0.0)] {
            let axis = Axis::new(value, value, 5, [0.0, 100.0]);
            assert!(axis.low >= -1e-9 && axis.high <= 100.0 + 1e-9 && axis.low < axis.high, "{axis:?}");
            assert!((axis.place(value) - place).abs() < 1e-9, "{axis:?}");
        }
    }
}
