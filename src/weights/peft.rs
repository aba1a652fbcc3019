//! PEFT's two files, `adapter_config.json` and `adapter_model.safetensors`, from and to the tensors of an adapter file.
//!
//! PEFT (Mangrulkar and others, <https://github.com/huggingface/peft>) adapts transformers' `CLIPModel`. Its LoRA has A `[r, in]`
//! and B `[out, r]` as ours. With `"bias": "all"` it stores every bias of the model as it is after training, which is BitFit; a bias
//! of a module that LoRA wraps is then called `….base_layer.bias`. The head (the classes' texts, Meta-Adapter) has no place there.

mod config;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::names::{Module, Side, bias_parts, openai_bias};
use super::{
    TensorFile,
    tensors::{Values, encode},
};
use crate::{Error, Result};

/// The name of PEFT's settings.
pub const CONFIG: &str = "adapter_config.json";
/// The name of PEFT's tensors.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// What PEFT puts before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// One tensor of an adapter file.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Row by row.
    pub values: Vec<f32>,
}

/// Tensors by their names in the adapter file: `lora.{block}.attn.{q|k|v|o}.{down|up}`, `bias.{OpenAI's name}` `[1, n]`.
pub type Matrices = BTreeMap<String, Matrix>;

/// LoRA's numbers, which PEFT keeps apart from where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowRank {
    /// r.
    pub rank: usize,
    /// α.
    pub alpha: f64,
    /// Dropout in training.
    pub dropout: f64,
    /// Whether the scale is `α/√r` (`use_rslora`), not `α/r`.
    pub rank_stabilised: bool,
}

/// PEFT's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeftFiles {
    /// [`CONFIG`].
    pub config: String,
    /// [`WEIGHTS`].
    pub weights: Vec<u8>,
}

/// What two files of PEFT hold, in our terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// LoRA; `None` where only biases are adapted.
    pub low_rank: Option<LowRank>,
    /// The tensors.
    pub matrices: Matrices,
    /// The model that PEFT says it was trained on; empty where it does not say.
    pub base: String,
}

impl Imported {
    /// Blocks with LoRA in the image tower (`vision`) or the text tower.
    pub fn blocks(&self, vision: bool) -> BTreeSet<usize> {
        self.modules().filter(|module| module.vision == vision).map(|module| module.block).collect()
    }

    /// The letters of the projections with LoRA, in the order q k v o.
    pub fn projections(&self) -> Vec<char> {
        let found: BTreeSet<char> = self.modules().map(|module| module.projection).collect();
        ['q', 'k', 'v', 'o'].into_iter().filter(|letter| found.contains(letter)).collect()
    }

    /// Whether biases of the image tower (`vision`) or the text tower are adapted.
    pub fn has_biases(&self, vision: bool) -> bool {
        self.matrices
            .keys()
            .filter_map(|name| name.strip_prefix("bias."))
            .any(|name| name.starts_with("visual.") == vision)
    }

    fn modules(&self) -> impl Iterator<Item = Module> {
        self.matrices.keys().filter_map(|name| Module::from_ours(name)).map(|(module, _)| module)
    }
}

/// PEFT's files for the tensors of an adapter. Those of its head (`head.…`) are left out; `label` names the adapter in
/// messages, `base` is what PEFT loads the model by.
///
/// PEFT cannot adapt biases alone, so BitFit by itself gets a pair of rank 1 that is zero.
///
/// # Errors
/// [`Error::Adapter`] when nothing in a tower is adapted, for tensors that a `CLIPModel` has no place for (a ResNet's), and
/// for shapes that do not fit.
pub fn export(label: &str, matrices: &Matrices, low_rank: Option<LowRank>, base: &str) -> Result<PeftFiles> {
    let wrong = |why: String| Error::Adapter { file: label.into(), why };
    let mut out: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
    let mut modules = BTreeSet::new();
    for (name, matrix) in matrices.iter().filter(|(name, _)| name.starts_with("lora.")) {
        let (module, side) =
            Module::from_ours(name).ok_or_else(|| wrong(format!("tensor '{name}' has no place in PEFT")))?;
        let which = if side == Side::Down { "A" } else { "B" };
        let key = format!("{PREFIX}{}.lora_{which}.weight", module.hugging_face());
        out.insert(key, (matrix.shape.into(), matrix.values.clone()));
        modules.insert(module);
    }
    let low_rank = match (modules.first(), low_rank) {
        (Some(_), Some(low_rank)) => {
            complete(&modules, matrices, low_rank.rank).map_err(wrong)?;
            low_rank
        }
        (None, None) => {
            let (module, width) = any_query(matrices).ok_or_else(|| {
                wrong(
                    "it changes nothing in CLIP's towers, so PEFT can hold nothing of it; give one of lora or bitfit"
                        .into(),
                )
            })?;
            let key = |which: &str| format!("{PREFIX}{}.lora_{which}.weight", module.hugging_face());
            out.insert(key("A"), (vec![1, width], vec![0.0; width]));
            out.insert(key("B"), (vec![width, 1], vec![0.0; width]));
            modules.insert(module);
            LowRank { rank: 1, alpha: 1.0, dropout: 0.0, rank_stabilised: false }
        }
        _ => {
            return Err(wrong("its settings and its tensors disagree on whether there is LoRA; train it again".into()));
        }
    };
    let mut has_biases = false;
    for (name, matrix) in matrices {
        let Some(name) = name.strip_prefix("bias.") else { continue };
        has_biases = true;
        let parts = bias_parts(name).ok_or_else(|| {
            wrong(format!(
                "PEFT adapts transformers' CLIPModel, which has no bias '{name}'; a ResNet's stay in this format"
            ))
        })?;
        if matrix.values.len() % parts.len() != 0 {
            return Err(wrong(format!("bias '{name}' does not split into {}; train it again", parts.len())));
        }
        for (part, values) in parts.iter().zip(matrix.values.chunks_exact(matrix.values.len() / parts.len())) {
            let module = part.strip_suffix(".bias").and_then(Module::from_hugging_face);
            let wrapped = module.is_some_and(|module| modules.contains(&module));
            let part = if wrapped { part.replace(".bias", ".base_layer.bias") } else { part.clone() };
            out.insert(format!("{PREFIX}{part}"), (vec![values.len()], values.into()));
        }
    }
    let tensors: Vec<(&str, Vec<usize>, Values<'_>)> =
        out.iter().map(|(name, (shape, values))| (name.as_str(), shape.clone(), Values::F32(values))).collect();
    let config = json!({
        "peft_type": "LORA",
        "auto_mapping": {"base_model_class": "CLIPModel", "parent_library": "transformers.models.clip.modeling_clip"},
        "base_model_name_or_path": base,
        "task_type": null,
        "inference_mode": true,
        "r": low_rank.rank,
        "lora_alpha": low_rank.alpha,
        "lora_dropout": low_rank.dropout,
        "use_rslora": low_rank.rank_stabilised,
        "bias": if has_biases { "all" } else { "none" },
        // Every module by its whole name: a shorter list would also hit what was not trained.
        "target_modules": modules.iter().map(|module| module.hugging_face()).collect::<Vec<_>>(),
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "use_dora": false,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
    });
    // A map of strings and finite numbers, for which writing JSON cannot fail.
    let config = serde_json::to_string_pretty(&config).unwrap_or_default() + "\n";
    Ok(PeftFiles { config, weights: encode(&tensors, &[("format", "pt")])? })
}

/// Reads PEFT's two files; `label` names the settings in messages.
///
/// # Errors
/// [`Error::Adapter`] for another method than plain LoRA, for a setting that changes what LoRA computes, and for tensors that are
/// not of a CLIP's attention, each named; [`Error::Weights`] for tensors that cannot be read.
pub fn import(label: &str, config: &[u8], weights: &TensorFile) -> Result<Imported> {
    let (low_rank, all_biases, base) = settings(config).map_err(|why| Error::Adapter { file: label.into(), why })?;
    let wrong = |why: String| Error::Adapter { file: weights.label().into(), why };
    let mut matrices = Matrices::new();
    let mut modules = BTreeSet::new();
    let mut biases: BTreeMap<String, BTreeMap<usize, Vec<f32>>> = BTreeMap::new();
    for (key, shape) in weights.shapes().collect::<BTreeMap<_, _>>() {
        let unknown = || {
            wrong(format!(
                "tensor '{key}' is none of LoRA on q, k, v or out_proj, nor a bias, of transformers' CLIPModel"
            ))
        };
        let name = key.strip_prefix(PREFIX).ok_or_else(unknown)?;
        let mut values = Vec::new();
        weights.read(&key, &mut values)?;
        let pair = [(".lora_A.weight", Side::Down), (".lora_B.weight", Side::Up)];
        if let Some((module, side)) = pair.iter().find_map(|(end, side)| Some((name.strip_suffix(end)?, *side))) {
            let module = Module::from_hugging_face(module).ok_or_else(unknown)?;
            let shape = <[usize; 2]>::try_from(shape)
                .map_err(|shape| wrong(format!("tensor '{key}' is {shape:?}, not a matrix")))?;
            matrices.insert(module.ours(side), Matrix { shape, values });
            modules.insert(module);
        } else {
            let (bias, place) = openai_bias(&name.replace(".base_layer.bias", ".bias")).ok_or_else(unknown)?;
            biases.entry(bias).or_default().insert(place, values);
        }
    }
    complete(&modules, &matrices, low_rank.rank).map_err(wrong)?;
    if biases.is_empty() == all_biases {
        let (says, has) = if all_biases { ("all", "none") } else { ("none", "some") };
        return Err(wrong(format!(
            "{CONFIG} says \"bias\": \"{says}\" and the tensors have {has}; save the adapter again"
        )));
    }
    for (name, parts) in biases {
        let expected = bias_parts(&name).map_or(0, |parts| parts.len());
        if parts.len() != expected {
            return Err(wrong(format!("the attention's bias '{name}' lacks one of q, k, v; save the adapter again")));
        }
        let values: Vec<f32> = parts.into_values().flatten().collect();
        matrices.insert(format!("bias.{name}"), Matrix { shape: [1, values.len()], values });
    }
    // The pair that stands for no pair beside biases.
    let is_zero = |name: &String| matrices[name].values.iter().all(|value| *value == 0.0);
    let pairs: Vec<String> = matrices.keys().filter(|name| name.starts_with("lora.")).cloned().collect();
    let stands_in = all_biases && pairs.iter().all(is_zero);
    if stands_in {
        pairs.iter().for_each(|name| drop(matrices.remove(name)));
    }
    Ok(Imported { low_rank: (!stands_in).then_some(low_rank), matrices, base })
}

/// Settings that change what is computed, or what the base model is; whatever else adds tensors is told by their names.
const REFUSED: [&str; 15] = [
    "fan_in_fan_out",
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
];

/// Rank and α, whether biases are stored, and the base model, from `adapter_config.json`; what is wrong otherwise.
fn settings(bytes: &[u8]) -> Result<(LowRank, bool, String), String> {
    let config: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is not PEFT's settings ({error}); save the adapter again"))?;
    let get = |key: &str| config.get(key).unwrap_or(&Value::Null);
    let kind = get("peft_type").as_str().unwrap_or("missing");
    if kind != "LORA" {
        return Err(format!("its peft_type is {kind}; only LORA can be read"));
    }
    if let Some(key) = REFUSED.into_iter().find(|key| is_set(get(key))) {
        return Err(format!("its {key} is {}; only plain LoRA can be read", get(key)));
    }
    if let Some(start) =
        get("init_lora_weights").as_str().filter(|start| !["gaussian", "orthogonal", "eva"].contains(start))
    {
        let advice = "convert it to plain LoRA with PEFT (path_initial_model_for_weight_conversion)";
        return Err(format!("its init_lora_weights is {start}, which changes the base model too; {advice}"));
    }
    let all_biases = match get("bias").as_str().unwrap_or("none") {
        "none" => false,
        "all" => true,
        other => return Err(format!("its bias is {other}; only none and all can be read")),
    };
    let rank =
        get("r").as_u64().filter(|rank| *rank > 0).ok_or_else(|| format!("its r is {}, not a rank", get("r")))?;
    let alpha = get("lora_alpha").as_f64().filter(|alpha| *alpha > 0.0);
    let alpha = alpha.ok_or_else(|| format!("its lora_alpha is {}, not a number above 0", get("lora_alpha")))?;
    let dropout = get("lora_dropout").as_f64().unwrap_or(0.0);
    if !(0.0..1.0).contains(&dropout) {
        return Err(format!("its lora_dropout is {dropout}, not from 0 to below 1"));
    }
    let rank_stabilised = get("use_rslora").as_bool().unwrap_or(false);
    let low_rank = LowRank { rank: rank as usize, alpha, dropout, rank_stabilised };
    Ok((low_rank, all_biases, get("base_model_name_or_path").as_str().unwrap_or_default().to_owned()))
}

/// Whether a setting of PEFT says anything: it is neither null, false nor empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        _ => true,
    }
}

/// Refuses pairs of which a half is missing or whose shapes do not fit, and blocks that adapt other projections than the others.
fn complete(modules: &BTreeSet<Module>, matrices: &Matrices, rank: usize) -> Result<(), String> {
    let letters: BTreeSet<char> = modules.iter().map(|module| module.projection).collect();
    for module in modules {
        let name = module.hugging_face();
        let halves = (matrices.get(&module.ours(Side::Down)), matrices.get(&module.ours(Side::Up)));
        let (Some(down), Some(up)) = halves else {
            return Err(format!("the pair of '{name}' lacks a half; save the adapter again"));
        };
        if down.shape[0] != rank || up.shape != [down.shape[1], rank] {
            let (down, up) = (down.shape, up.shape);
            return Err(format!(
                "the pair of '{name}' is {down:?} and {up:?}, which does not fit rank {rank} and a square projection"
            ));
        }
        let other = letters.iter().map(|&projection| Module { projection, ..*module }).find(|m| !modules.contains(m));
        if let Some(other) = other {
            let other = other.hugging_face();
            return Err(format!(
                "'{name}' is adapted and '{other}' is not, as it is in other blocks; only blocks that are alike can be"
            ));
        }
    }
    Ok(())
}

/// The query projection of some block whose biases are adapted, and its width.
fn any_query(matrices: &Matrices) -> Option<(Module, usize)> {
    matrices.iter().find_map(|(name, matrix)| {
        let parts = bias_parts(name.strip_prefix("bias.")?)?;
        let module = Module::from_hugging_face(parts.first()?.strip_suffix(".bias")?)?;
        (parts.len() == 3).then_some((module, matrix.values.len() / 3))
    })
}
