//! What the methods share when they learn, and the numbers that describe what they learnt.
//!
//! | module | what it is |
//! |---|---|
//! | [`schedule`] | the learning rate over the steps |
//! | [`optimise`] | AdamW on a few matrices with the whole batch, one step a call |
//! | [`lbfgs`] | a quasi-Newton minimiser in `f64` for smooth convex objectives |
//! | [`objective`] | cross-entropy |
//! | [`breaking`] | the breaking loss and its bank of features |
//! | [`metrics`] | accuracies, intervals, confusion |
//! | [`tsne`] | features as a map in the plane |

pub mod breaking;
pub mod lbfgs;
pub mod metrics;
pub mod objective;
pub mod optimise;
pub mod schedule;
pub mod tsne;

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What one training step reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The step just done, from 1.
    pub step: usize,
    /// The number of steps planned.
    pub steps: usize,
    /// The training loss before this step's update (mean over the batch, in nats).
    pub loss: f32,
    /// The learning rate of this step; nothing where the method has none.
    pub learning_rate: Option<f64>,
}

/// Reads a tensor back from its device as `f32`, row by row, without blocking (a browser cannot wait).
///
/// # Errors
/// [`Error::Failed`] when the device fails.
pub async fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|why| {
        let why = format!("{why:?}").replace('\n', " ");
        Error::Failed(format!("the device could not return a tensor: {why}"))
    })?;
    Ok(data.iter::<f32>().collect())
}
