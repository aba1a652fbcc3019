//! Comparing a device with another before it is believed: drivers of GPUs are programs too.

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::{Activation, ClipBackend};
use crate::{clip::Precision, train};

/// How far a device may be off, relative to the largest value. In half precision some ten operations each round by 2⁻¹¹
/// (f16) or 2⁻⁸ (bf16).
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::F16 => 1e-2,
        Precision::Bf16 => 8e-2,
    }
}

/// Compares what `B` computes in `precision` with what `Reference` computes in f32.
///
/// # Errors
/// They differ, or a device fails.
pub async fn compare<B: ClipBackend, Reference: ClipBackend>(
    precision: Precision,
    device: &B::Device,
    reference: &Reference::Device,
) -> Result<(), String> {
    if !B::computes_in(precision, device) {
        return Err(format!("it does not compute in {precision}"));
    }
    let found = sample::<B>(precision, device).await?;
    let expected = sample::<Reference>(Precision::F32, reference).await?;
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    let off = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    // What is not a number is in no range.
    let near = found.iter().all(|value| value.is_finite()) && off <= tolerance(precision) * largest;
    if found.len() == expected.len() && near {
        return Ok(());
    }
    Err(format!("it computes wrongly in {precision} (off by {off} of {largest})"))
}

/// A small part of a transformer on numbers made by a rule: layer norm, a linear layer with its activation, attention, and
/// another linear layer with a residual.
async fn sample<B: ClipBackend>(precision: Precision, device: &B::Device) -> Result<Vec<f32>, String> {
    let format = precision.dtype();
    let x = made::<B, 3>([2, 5, 16], 0.37, device).cast(format);
    let gamma = made::<B, 1>([16], 1.1, device);
    let beta = made::<B, 1>([16], 2.3, device);
    let input = <B as ClipBackend>::matrix(made::<B, 2>([48, 16], 0.73, device).cast(format));
    let output = <B as ClipBackend>::matrix(made::<B, 2>([16, 16], 0.53, device).cast(format));
    let bias = made::<B, 1>([48], 0.19, device).cast(format);
    let normal = <B as ClipBackend>::layer_norm(x.clone(), &gamma, &beta, 1e-5);
    let qkv = <B as ClipBackend>::linear(normal, &input, Some(&bias), Activation::QuickGelu, None);
    let attended = <B as ClipBackend>::attention(qkv, 2, false);
    let out = <B as ClipBackend>::linear(attended, &output, None, Activation::Identity, Some(x));
    train::read(out.cast(Precision::F32.dtype())).await.map_err(|error| error.to_string())
}

fn made<B: Backend, const D: usize>(shape: [usize; D], pace: f32, device: &B::Device) -> Tensor<B, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|index: usize| (1.0 + index as f32 * pace).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
