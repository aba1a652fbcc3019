//! Asking for a GPU, and not believing it before it has computed something known.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::JsFuture;

use super::{
    error::{Result, to_js},
    gpu::{check, start},
};
use crate::clip::Precision;

/// What was found.
#[derive(Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct GpuReport {
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    name: String,
    /// It is the processor in a GPU's clothes.
    software: bool,
    /// It computes in half precision, and rightly.
    f16: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    f16_problem: Option<String>,
}

/// Asks the browser for a GPU, starts it, and compares what it computes with the CPU. To be called once, before a session is
/// loaded on it.
///
/// # Errors
/// None that is known: what is wrong with the GPU is in `problem`.
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
    let f16 = has.and_then(|has| has.call1(&features, &"shader-f16".into())).is_ok_and(|found| found.is_truthy());

    start().await?;
    check(Precision::F32).await.map_err(|why| format!("{} is not used: {why}", report.name))?;
    let checked = if f16 { check(Precision::F16).await } else { Err("it has no shader-f16".into()) };
    report.f16 = checked.is_ok();
    report.f16_problem = checked.err();
    Ok(())
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
