//! Noise levels as σ, the ratio of noise to signal, for the schedulers that step in it.

use super::SchedulerKind;
use super::config::{FinalSigma, SchedulerConfig};
use super::level::{alphas_cumprod, linspace};
use crate::Result;

/// σ at each timestep of training, ascending.
pub(super) struct Sigmas(Vec<f64>);

impl Sigmas {
    /// All of a config's levels.
    pub fn new(config: &SchedulerConfig, kind: SchedulerKind) -> Result<Self> {
        let mut alphas = alphas_cumprod(config, kind)?;
        if config.rescale_betas_zero_snr(kind)
            && let Some(last) = alphas.last_mut()
        {
            // diffusers' stand-in for 0, so that the first σ is finite: f16's smallest number.
            *last = 2f64.powi(-24);
        }
        Ok(Self(alphas.into_iter().map(|alpha| ((1.0 - alpha) / alpha).sqrt()).collect()))
    }

    /// The σ of all timesteps, ascending.
    pub fn all(&self) -> &[f64] {
        &self.0
    }

    /// σ at a timestep, between two of training's on the line through theirs.
    pub fn at(&self, timestep: f64) -> f64 {
        let low = (timestep.max(0.0) as usize).min(self.0.len() - 1);
        let high = (low + 1).min(self.0.len() - 1);
        self.0[low] + (self.0[high] - self.0[low]) * (timestep - low as f64)
    }

    /// The timestep of a σ, between two of training's on the line through the logarithms of theirs.
    pub fn timestep(&self, sigma: f64) -> f64 {
        let low = self.0.partition_point(|trained| *trained <= sigma).saturating_sub(1).min(self.0.len() - 2);
        let (below, above) = (self.0[low].ln(), self.0[low + 1].ln());
        low as f64 + ((sigma.ln() - below) / (above - below)).clamp(0.0, 1.0)
    }

    /// The σ that the last step goes to.
    pub fn last(&self, config: &SchedulerConfig) -> Result<f64> {
        Ok(match config.final_sigma()? {
            FinalSigma::Zero => 0.0,
            FinalSigma::SigmaMin => self.0[0],
        })
    }
}

/// `steps` levels from `from` down to `to`, closer together the lower they are (Karras et al., 2022, equation 5 with ρ = 7).
pub(super) fn karras(from: f64, to: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (from.powf(1.0 / RHO), to.powf(1.0 / RHO));
    linspace(0.0, 1.0, steps).into_iter().map(|ramp| (from + ramp * (to - from)).powf(RHO)).collect()
}
