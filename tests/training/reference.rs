//! Losses, gradients, merged logits and AdamW steps against PyTorch and PEFT, which computed them in f64.

use burn::tensor::Tensor;
use burn_flex::Flex;
use lowshot::{
    adapter::tuning::Training,
    train::{optimise::Optimiser, schedule::Schedule},
};
use pollster::block_on;
use serde_json::Value;

use crate::problem::{META, Problem, difference, matrix, rms, settings, values};

const MODELS: [&str; 3] = ["tiny", "open-clip-vit", "open-clip-resnet"];

/// Parts of the case's largest gradient below which one is the rounding error of a sum that is exactly zero: softmax does not see
/// a bias of the keys, which moves all scores of a query alike.
const NOISE: f64 = 1e-6;

/// Parts of a gradient's size below which one of its entries is rounding error in f32: a sum of many terms of that size, which nearly
/// cancel. (What a rectifier shuts off is exactly zero, and compared.)
const ENTRY_NOISE: f64 = 1e-5;

#[test]
fn losses_and_gradients_are_those_of_pytorch_and_peft() {
    let mut wrong = Vec::new();
    for model in MODELS {
        let problem = Problem::load(model);
        for (title, case) in &problem.cases {
            let mut training = problem.case(case);
            let (loss, gradients) = training.gradients(problem.batch(!case["breaking"].is_null()), false).unwrap();
            let loss = f64::from(loss.into_scalar());
            let off = (loss / case["loss"].as_f64().unwrap() - 1.0).abs();
            if above(off, 1e-4) {
                wrong.push(format!("{model}, {title}: the loss is {loss}, off by {off:.1e}"));
            }
            let names = names(&training);
            assert_eq!(names.len(), gradients.len());
            let expected: Vec<Vec<f32>> =
                names.iter().map(|name| problem.expected(&format!("{title}.gradient"), name)).collect();
            let count: usize = expected.iter().map(Vec::len).sum();
            assert_eq!(count as u64, case["parameters"].as_u64().unwrap(), "{model}, {title}");
            let largest = expected.iter().map(|gradient| rms(gradient)).fold(0.0, f64::max);
            let mut worst: (f64, &str) = (0.0, "");
            for ((name, gradient), expected) in names.iter().zip(gradients).zip(&expected) {
                let gradient = values(gradient.unwrap_or_else(|| panic!("{model}, {title}: no gradient by {name}")));
                let size = rms(expected);
                let relative = difference(&gradient, expected) / if size < NOISE * largest { largest } else { size };
                if above(relative, worst.0) {
                    worst = (relative, name);
                }
                if above(relative, 1e-3) {
                    wrong.push(format!("{model}, {title}: the gradient by {name} is off by {relative:.1e}"));
                }
            }
            println!("{model:18} {title:28} loss {off:.1e}  gradients {:.1e} ({})", worst.0, worst.1);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn logits_of_merged_towers_are_those_of_peft() {
    for model in MODELS {
        let problem = Problem::load(model);
        for (title, case) in problem.cases.iter().filter(|(_, case)| !case["lora"].is_null()) {
            let training = problem.case(case);
            let merged = training.tuning().merged(&problem.clip);
            let features = merged.image_features(problem.batch(false).pixels);
            let found = values(training.finish().unwrap().head.logits(features).unwrap());
            let expected = problem.tensor(&format!("{title}.merged"));
            let off = difference(&found, expected) / rms(expected);
            println!("{model:18} {title:28} {off:.1e}");
            assert!(off <= 1e-4, "{model}, {title}: logits off by {off:.1e}");
        }
    }
}

#[test]
fn adamw_takes_the_steps_of_pytorch() {
    for model in MODELS {
        let problem = Problem::load(model);
        for (title, case) in problem.cases.iter().filter(|(_, case)| !case["steps"].is_null()) {
            let mut config = settings(case);
            (config.optimiser, config.steps) = optimiser(&case["steps"]["optimiser"]);
            let mut training = problem.started(config);
            for step in 1..=3 {
                let done = block_on(training.step(problem.batch(false))).unwrap();
                let of = |key: &str| case["steps"][key][step - 1].as_f64().unwrap();
                assert!((done.learning_rate.unwrap() - of("lrs")).abs() < 1e-12, "{model}, {title}: {done:?}");
                let off = (f64::from(done.loss) / of("losses") - 1.0).abs();
                assert!(off <= 1e-4, "{model}, {title}, step {step}: the loss is off by {off:.1e}");
                if step != 2 {
                    let (off, name, values) = compare(&problem, &training, title, step);
                    println!("{model:18} {title} step {step}: {off:.1e} ({name})");
                    assert!(off <= 1e-3, "{model}, {title}, step {step}: {name} is off by {off:.1e}");
                    training.set_values(values);
                }
            }
        }
    }
}

/// The worst relative difference of a parameter, whose it is, and the values to go on from. Adam divides a gradient by its size,
/// so of rounding errors it makes steps like any others: a bias of the keys is not compared (see [`NOISE`]), nor the few entries
/// below [`ENTRY_NOISE`]. These take the reference's values, because what comes after depends on them.
fn compare(
    problem: &Problem,
    training: &Training<Flex>,
    title: &str,
    step: usize,
) -> (f64, String, Vec<Tensor<Flex, 2>>) {
    let (mut worst, mut whose, mut all) = (0.0, String::new(), Vec::new());
    for (name, value) in training.tuning().tensors() {
        let mut found = values(value.clone());
        let gradient = problem.expected(&format!("{title}.gradient"), name);
        let keys = name.ends_with("attn.in_proj_bias") || name.ends_with("k_proj.bias");
        let parts = problem.expected_parts(&format!("{title}.step.{step}"), name);
        let expected: Vec<Option<Vec<f32>>> = match <[_; 1]>::try_from(parts) {
            // One fused vector.
            Ok([Some(fused)]) if keys => {
                let width = fused.len() / 3;
                fused.chunks(width).enumerate().map(|(part, values)| (part != 1).then(|| values.to_vec())).collect()
            }
            Ok(one) => one.into(),
            Err(parts) => parts,
        };
        assert_eq!(expected.iter().filter(|part| part.is_none()).count(), usize::from(keys), "{name}");
        let width = found.len() / expected.len();
        for ((found, gradient), expected) in found.chunks_mut(width).zip(gradient.chunks(width)).zip(&expected) {
            let Some(expected) = expected else { continue };
            let floor = ENTRY_NOISE * rms(gradient);
            let is_noise = |&at: &usize| gradient[at] != 0.0 && f64::from(gradient[at].abs()) < floor;
            let noise: Vec<usize> = (0..width).filter(is_noise).collect();
            assert!(noise.len() * 100 <= width, "{name}: {} of {width} entries are noise", noise.len());
            noise.into_iter().for_each(|at| found[at] = expected[at]);
            let off = difference(found, expected) / rms(expected);
            if above(off, worst) {
                (worst, whose) = (off, name.to_owned());
            }
        }
        all.push(matrix(&found, value.dims()[1]));
    }
    (worst, whose, all)
}

/// Whether a difference is too large, or no number.
fn above(difference: f64, limit: f64) -> bool {
    difference.is_nan() || difference > limit
}

fn optimiser(settings: &Value) -> (Optimiser, usize) {
    let of = |key: &str| settings[key].as_f64().unwrap();
    let beta = |index: usize| settings["betas"][index].as_f64().unwrap() as f32;
    let optimiser = Optimiser {
        learning_rate: of("lr"),
        beta_1: beta(0),
        beta_2: beta(1),
        epsilon: of("eps") as f32,
        weight_decay: of("weight_decay") as f32,
        schedule: Schedule::Cosine { floor: of("final_lr"), warm_up: 0 },
    };
    (optimiser, of("steps") as usize)
}

/// The names of everything that is trained, in the order of its gradients.
fn names(training: &Training<Flex>) -> Vec<String> {
    let meta = training.config().meta.iter().flat_map(|_| META.map(str::to_owned));
    training.tuning().names().iter().cloned().chain(meta).collect()
}
