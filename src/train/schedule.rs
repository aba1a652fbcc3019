//! The learning rate over the steps of a training run.

use serde::{Deserialize, Serialize};

/// How the learning rate goes from its peak to its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The peak, always.
    Constant,
    /// Half a cosine from the peak to `floor`, without restarts (Loshchilov and Hutter, "SGDR", 2017, equation 5).
    Cosine {
        /// The rate that the last step approaches.
        #[serde(default)]
        floor: f64,
        /// Steps that come first, over which the rate rises in a line to the peak.
        #[serde(default, skip_serializing_if = "is_zero")]
        warm_up: usize,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { floor: 0.0, warm_up: 0 }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(steps: &usize) -> bool {
    *steps == 0
}

impl Schedule {
    /// The learning rate of `step` (counted from 0) of `steps`. The first step after the warm-up has `peak` itself; the floor
    /// would be reached by the step after the last, as in PyTorch's `CosineAnnealingLR` with `T_max = steps − warm_up`.
    pub fn rate(self, peak: f64, step: usize, steps: usize) -> f64 {
        match self {
            Self::Constant => peak,
            Self::Cosine { warm_up, .. } if step < warm_up => peak * (step + 1) as f64 / (warm_up + 1) as f64,
            Self::Cosine { floor, warm_up } => {
                let steps = steps.saturating_sub(warm_up);
                let progress = (step - warm_up).min(steps) as f64 / steps.max(1) as f64;
                floor + (peak - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_falls_from_the_peak_to_the_floor() {
        let cosine = Schedule::Cosine { floor: 1e-6, warm_up: 0 };
        assert_eq!(cosine.rate(1e-3, 0, 100), 1e-3);
        assert!((cosine.rate(1e-3, 50, 100) - 1e-3f64.midpoint(1e-6)).abs() < 1e-15);
        assert!((cosine.rate(1e-3, 25, 100) - (1e-6 + 0.999e-3 * 0.853_553_390_593_273_8)).abs() < 1e-15);
        assert!((cosine.rate(1e-3, 100, 100) - 1e-6).abs() < 1e-15);
        assert!((0..100).all(|step| cosine.rate(1e-3, step + 1, 100) < cosine.rate(1e-3, step, 100)));
    }

    #[test]
    fn a_warm_up_rises_to_the_peak_and_the_cosine_takes_the_rest() {
        let schedule = Schedule::Cosine { floor: 0.0, warm_up: 4 };
        let rates: Vec<f64> = (0..6).map(|step| schedule.rate(1.0, step, 104)).collect();
        for (rate, expected) in rates.iter().zip([0.2, 0.4, 0.6, 0.8, 1.0]) {
            assert!((rate - expected).abs() < 1e-12);
        }
        assert_eq!(schedule.rate(1.0, 4 + 50, 104), Schedule::default().rate(1.0, 50, 100));
        assert!(schedule.rate(1.0, 2, 3).is_finite());
    }

    #[test]
    fn no_number_of_steps_divides_by_zero() {
        assert_eq!(Schedule::Constant.rate(0.1, 7, 0), 0.1);
        assert!(Schedule::default().rate(0.1, 0, 0).is_finite());
    }

    #[test]
    fn it_is_written_by_name_and_unknown_fields_are_refused() {
        let text = serde_json::to_string(&Schedule::default()).unwrap();
        assert_eq!(text, r#"{"kind":"cosine","floor":0.0}"#);
        assert!(serde_json::from_str::<Schedule>(r#"{"kind":"cosine","flor":0.0}"#).is_err());
    }
}
