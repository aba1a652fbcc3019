//! Asking for a GPU, and not believing it before it has computed something known.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use burn_flex::Flex;
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, graphics::WebGpu, init_setup_async};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::JsFuture;

use super::error::{Result, to_js};
use crate::{
    clip::{ClipBackend, kernels::Activation},
    train,
};

/// The only device that a page gets.
pub const DEVICE: WgpuDevice = WgpuDevice::DefaultDevice;
/// How far the GPU may be from the CPU in the self-test, relative to the CPU's largest value.
const TOLERANCE: f32 = 1e-3;

/// What was found.
#[derive(Default, serde::Serialize)]
struct GpuReport {
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    name: String,
    /// It is the processor in a GPU's clothes.
    software: bool,
    /// It computes in half precision.
    f16: bool,
}

/// Asks the browser for a GPU, starts it, and compares what it computes with the CPU. To be called once, before a session is
/// loaded on it. Nothing is thrown: what is wrong is in `problem`.
#[wasm_bindgen]
pub async fn gpu() -> Result<JsValue> {
    let mut report = GpuReport::default();
    match look(&mut report).await {
        Ok(()) => report.usable = true,
        Err(problem) => report.problem = Some(problem),
    }
    to_js(&report)
}

async fn look(report: &mut GpuReport) -> std::result::Result<(), String> {
    let adapter = adapter().await?;
    let info = get(&adapter, "info");
    let words = ["vendor", "architecture", "device", "description"].map(|key| get(&info, key).as_string());
    let mut named: Vec<String> = Vec::new();
    for word in words.into_iter().flatten().filter(|word| !word.is_empty()) {
        if !named.contains(&word) {
            named.push(word);
        }
    }
    report.name = if named.is_empty() { "unnamed GPU".into() } else { named.join(" ") };
    let flagged = |of: &JsValue| get(of, "isFallbackAdapter").as_bool() == Some(true);
    report.software = flagged(&info) || flagged(&adapter) || report.name.to_lowercase().contains("swiftshader");
    let features = get(&adapter, "features");
    let has = get(&features, "has").dyn_into::<Function>();
    report.f16 = has.and_then(|has| has.call1(&features, &"shader-f16".into())).is_ok_and(|found| found.is_truthy());

    let setup = init_setup_async::<WebGpu>(&DEVICE, RuntimeOptions::default()).await;
    // Otherwise a refused shader is a line in the log, and what it should have written is what was there before.
    setup.device.on_uncaptured_error(std::sync::Arc::new(|error| log::error!("WebGPU: {error}")));
    let found = sample::<Wgpu>(&DEVICE).await?;
    let expected = sample::<Flex>(&Default::default()).await?;
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    let off = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    // What is not a number is in no range.
    if found.len() == expected.len() && (0.0..=TOLERANCE * largest).contains(&off) {
        return Ok(());
    }
    Err(format!("{} computes wrongly (off by {off} of {largest}), so it is not used", report.name))
}

/// The browser's adapter, or why there is none. That the interface is there says nothing: the adapter may be missing.
async fn adapter() -> std::result::Result<JsValue, String> {
    let navigator = get(&js_sys::global(), "navigator");
    let gpu = get(&navigator, "gpu");
    if gpu.is_falsy() {
        return Err("this browser has no WebGPU".into());
    }
    let ask = get(&gpu, "requestAdapter").dyn_into::<Function>().map_err(|_| "this browser's WebGPU is incomplete")?;
    let asked = ask.call0(&gpu).map_err(|_| "this browser's WebGPU fails")?;
    let adapter = JsFuture::from(Promise::resolve(&asked)).await.map_err(|_| "this browser's WebGPU fails")?;
    if adapter.is_falsy() {
        return Err("the browser has WebGPU, but no GPU for it".into());
    }
    Ok(adapter)
}

/// A property; undefined where there is none.
fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A small part of a transformer on numbers made by a rule: layer norm, a linear layer with its activation, attention.
async fn sample<B: ClipBackend>(device: &B::Device) -> std::result::Result<Vec<f32>, String> {
    let x = made::<B, 3>([2, 5, 16], 0.37, device);
    let gamma = made::<B, 1>([16], 1.1, device);
    let beta = made::<B, 1>([16], 2.3, device);
    let weight = <B as ClipBackend>::matrix(made::<B, 2>([48, 16], 0.73, device));
    let bias = made::<B, 1>([48], 0.19, device);
    let x = <B as ClipBackend>::layer_norm(x, &gamma, &beta, 1e-5);
    let qkv = <B as ClipBackend>::linear(x, &weight, Some(&bias), Activation::QuickGelu, None);
    let out = <B as ClipBackend>::attention(qkv, 2, false);
    train::read(out).await.map_err(|error| error.to_string())
}

fn made<B: Backend, const D: usize>(shape: [usize; D], pace: f32, device: &B::Device) -> Tensor<B, D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|index: usize| (1.0 + index as f32 * pace).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
