//! Every scheduler's every step is diffusers', for given outputs of the network.

use burn::tensor::Tensor;
use burn_flex::Flex;
use lowshot::diffusion::schedule::{Sampler, Schedule, SchedulerConfig, SchedulerKind, StrengthConvention};
use serde_json::{Value, json};

use crate::reference::{Tensors, off, read, values};

const SHAPE: [usize; 4] = [1, 2, 3, 4];
/// What samples in f32 may lose.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_step_is_that_of_diffusers() {
    let (cases, tensors) = (read("schedules"), Tensors::read("schedules"));
    let (mut worst, mut steps) = (0.0, 0);
    for (number, case) in cases.as_object().unwrap() {
        let kind: SchedulerKind = case["scheduler"].as_str().unwrap().parse().unwrap();
        let config = SchedulerConfig::from_json(case["config"].as_str().unwrap().as_bytes(), "config").unwrap();
        let schedule = Schedule::new(&config, kind, case["steps"].as_u64().unwrap() as usize).unwrap();
        let name = format!("case {number}: {case}");
        if let Some(expected) = case["timesteps"].as_array() {
            let expected: Vec<f64> = expected.iter().map(|timestep| timestep.as_f64().unwrap()).collect();
            assert_eq!(schedule.timesteps().len(), expected.len(), "{name}");
            for (ours, theirs) in schedule.timesteps().iter().zip(expected) {
                assert!((ours - theirs).abs() <= 1e-4, "{name}: {ours} {theirs}");
            }
        }
        let first = case["start"].as_u64().unwrap() as usize;
        let sampler: Sampler<Flex> = match case["strength"].as_f64() {
            None => schedule.begin(first),
            Some(strength) => {
                let start = schedule.image_to_image(strength, StrengthConvention::Original).unwrap();
                schedule.begin(start)
            }
        };
        let (seen, samples) = run(sampler, first);
        let (_, expected) = tensors.get(&format!("{number}.samples")).unwrap();
        let size = SHAPE.iter().product();
        assert_eq!(samples.len() * size, expected.len(), "{name}");
        for (step, (ours, theirs)) in samples.iter().zip(expected.chunks_exact(size)).enumerate() {
            let error = off(ours, theirs);
            assert!(error <= TOLERANCE, "{name}: after {step} steps {error:.1e}");
            worst = error.max(worst);
        }
        if let Some((_, expected)) = tensors.get(&format!("{number}.seen")) {
            for (ours, theirs) in seen.iter().zip(expected.chunks_exact(size)) {
                let error = off(ours, theirs);
                assert!(error <= TOLERANCE, "{name}: the network's input {error:.1e}");
                worst = error.max(worst);
            }
        }
        steps += seen.len();
    }
    assert!(steps > 500, "{steps}");
    println!("{} cases, {steps} steps: largest relative error {worst:.1e}", cases.as_object().unwrap().len());
}

/// What the network would see in each step, and the sample before the first and after every step.
fn run(mut sampler: Sampler<Flex>, first: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let numbers = |tensor: &Tensor<Flex, 4>| tensor.to_data().to_vec::<f32>().unwrap();
    let mut x = sampler.add_noise(values("schedule.clean", SHAPE), values("schedule.start", SHAPE));
    let (mut seen, mut samples) = (Vec::new(), vec![numbers(&x)]);
    for index in first.. {
        if sampler.timestep().is_none() {
            break;
        }
        seen.push(numbers(&sampler.scale_input(x.clone())));
        let noise = sampler.needs_noise().then(|| values(&format!("schedule.noise.{index}"), SHAPE));
        x = sampler.step(values(&format!("schedule.output.{index}"), SHAPE), x, noise);
        samples.push(numbers(&x));
    }
    (seen, samples)
}

#[test]
fn a_strength_becomes_the_steps_that_diffusers_makes() {
    // `StableDiffusionImg2ImgPipeline.get_timesteps`: min(int(steps · strength), steps) of the steps.
    for (steps, strength, made) in [(50, 0.3, 15), (50, 0.6, 30), (50, 1.0, 50), (100, 0.29, 28), (4, 0.3, 1)] {
        let sampler: Sampler<Flex> = {
            let schedule = schedule("ddim", &json!({}), steps).unwrap();
            let start = schedule.image_to_image(strength, StrengthConvention::Diffusers).unwrap();
            schedule.begin(start)
        };
        assert_eq!(run(sampler, steps - made).0.len(), made, "{steps} {strength}");
    }
    // PNDM's second timestep comes twice, so one pass more.
    let pndm = schedule("pndm", &json!({"skip_prk_steps": true}), 50).unwrap();
    let start = pndm.image_to_image(0.3, StrengthConvention::Diffusers).unwrap();
    assert_eq!(run(pndm.begin(start), 35).0.len(), 16);
}

#[test]
fn a_strength_that_makes_no_sense_is_refused() {
    for (strength, convention, mentions) in [
        (-0.1, StrengthConvention::Diffusers, "between 0 and 1"),
        (1.1, StrengthConvention::Diffusers, "between 0 and 1"),
        (f64::NAN, StrengthConvention::Diffusers, "between 0 and 1"),
        (0.01, StrengthConvention::Diffusers, "no step of 50"),
        (1.0, StrengthConvention::Original, "a step before the first"),
    ] {
        let error = schedule("ddim", &json!({}), 50).unwrap().image_to_image(strength, convention).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(mentions), "{strength}: {error}");
    }
    let euler = schedule("euler", &json!({}), 50).unwrap();
    let error = euler.image_to_image(0.3, StrengthConvention::Original).unwrap_err();
    assert!(error.to_string().contains("ddim alone"), "{error}");
}

#[test]
fn what_a_config_asks_for_and_this_lacks_is_refused_by_name() {
    for (kind, config, mentions) in [
        ("ddim", json!({"thresholding": true}), "thresholding"),
        ("ddim", json!({"prediction_type": "flow_prediction"}), "flow_prediction"),
        ("ddim", json!({"beta_schedule": "laplace"}), "laplace"),
        ("ddim", json!({"timestep_spacing": "random"}), "random"),
        ("ddim", json!({"trained_betas": [0.1, 0.2]}), "trained_betas"),
        ("ddim", json!({"beta_end": 1.5}), "beta"),
        ("ddim", json!({"beta_start": 0.0}), "beta_start"),
        ("ddim", json!({"beta_start": -1.0}), "beta_start"),
        ("ddim", json!({"beta_start": 0.9, "beta_end": 0.99}), "no signal"),
        ("ddim", json!({"clip_sample": true, "clip_sample_range": -1.0}), "clip_sample_range"),
        ("euler", json!({"use_karras_sigmas": true, "sigma_min": -1.0}), "sigma_min"),
        ("ddim", json!({"num_train_timesteps": 1}), "num_train_timesteps"),
        ("ddim", json!({"num_train_timesteps": 1_000_000_000}), "num_train_timesteps"),
        ("ddim", json!({"steps_offset": usize::MAX}), "steps_offset"),
        ("ddim", json!({"steps_offset": 500}), "steps_offset"),
        ("ddim", json!({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}), "rescale_betas_zero_snr"),
        ("pndm", json!({"prediction_type": "sample"}), "prediction_type"),
        ("euler-ancestral", json!({"prediction_type": "sample"}), "prediction_type"),
        ("euler", json!({"use_exponential_sigmas": true}), "use_exponential_sigmas"),
        ("euler", json!({"use_beta_sigmas": true}), "use_beta_sigmas"),
        ("euler", json!({"interpolation_type": "log_linear"}), "interpolation_type"),
        ("euler", json!({"timestep_type": "continuous"}), "timestep_type"),
        ("euler", json!({"final_sigmas_type": "one"}), "final_sigmas_type"),
        ("dpm++2m", json!({"algorithm_type": "sde-dpmsolver++"}), "algorithm_type"),
        ("dpm++2m", json!({"solver_type": "heun"}), "solver_type"),
        ("dpm++2m", json!({"solver_order": 3}), "solver_order"),
        ("dpm++2m", json!({"use_lu_lambdas": true}), "use_lu_lambdas"),
        ("dpm++2m", json!({"use_flow_sigmas": true}), "use_flow_sigmas"),
        ("dpm++2m", json!({"variance_type": "learned"}), "variance_type"),
        ("dpm++2m", json!({"thresholding": true}), "thresholding"),
        ("lcm", json!({"original_inference_steps": 0}), "original_inference_steps"),
        ("lcm", json!({"thresholding": true}), "thresholding"),
    ] {
        let error = schedule(kind, &config, 10).expect_err(&config.to_string());
        let message = error.to_string();
        assert!(
            error.is_usage() && message.starts_with("scheduler_config.json: ") && message.contains(mentions),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    // The same entries say nothing to a scheduler that does not have them.
    assert!(schedule("euler", &json!({"thresholding": true, "solver_order": 3}), 10).is_ok());
}

#[test]
fn numbers_of_steps_that_make_no_sense_are_refused() {
    let prk = json!({"skip_prk_steps": false});
    for (kind, config, steps) in [
        ("ddim", json!({}), 0),
        ("ddim", json!({}), 1001),
        ("lcm", json!({}), 51),
        ("pndm", prk, 3),
        ("dpm++2m", json!({}), 1000),
    ] {
        let error = schedule(kind, &config, steps).expect_err(kind);
        assert!(error.is_usage() && error.to_string().contains(&format!("{steps} steps")), "{error}");
    }
}

#[test]
fn a_file_that_is_no_config_of_a_known_scheduler_is_refused() {
    for (bytes, mentions) in [
        (&b"{"[..], "not a scheduler's config"),
        (b"[]", "not a scheduler's config"),
        (b"{}", "_class_name"),
        (br#"{"_class_name": "DDIMScheduler", "beta_start": "low"}"#, "not a scheduler's config"),
        (
            br#"{"_class_name": "HeunDiscreteScheduler"}"#,
            "HeunDiscreteScheduler is not known; known are DDIMScheduler, PNDM",
        ),
    ] {
        let message = SchedulerConfig::from_json(bytes, "scheduler_config.json").unwrap_err().to_string();
        assert!(message.starts_with("scheduler_config.json: ") && message.contains(mentions), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let message = "heun".parse::<SchedulerKind>().unwrap_err().to_string();
    assert!(message.contains("ddim, pndm, euler, euler-ancestral, dpm++2m, lcm"), "{message}");
    for kind in SchedulerKind::ALL {
        assert_eq!(kind.to_string().parse::<SchedulerKind>().unwrap(), kind);
        assert_eq!(kind.class().parse::<SchedulerKind>().unwrap(), kind);
    }
}

#[test]
fn a_config_for_latents_is_corrected_as_the_pipelines_of_diffusers_do() {
    let config = json!({"_class_name": "DDIMScheduler", "steps_offset": 0, "clip_sample": true}).to_string();
    let config = SchedulerConfig::from_json(config.as_bytes(), "scheduler_config.json").unwrap().for_latents();
    let corrected = Schedule::new(&config, SchedulerKind::Ddim, 10).unwrap();
    assert_eq!(corrected.timesteps()[0], 901.0);
    let plain = schedule("ddim", &json!({"clip_sample": false, "steps_offset": 1}), 10).unwrap();
    assert_eq!(run(corrected.begin(0), 0).1, run(plain.begin(0), 0).1);
}

#[test]
fn behind_the_last_step_nothing_changes() {
    let mut sampler: Sampler<Flex> = schedule("euler", &json!({}), 1).unwrap().begin(0);
    let x = sampler.step(values("a", SHAPE), values("b", SHAPE), None);
    assert!(sampler.timestep().is_none() && !sampler.needs_noise());
    let same = sampler.step(values("c", SHAPE), sampler.scale_input(x.clone()), None);
    assert_eq!(same.to_data(), x.to_data());
    let late: Sampler<Flex> = schedule("ddim", &json!({}), 3).unwrap().begin(7);
    assert!(late.timestep().is_none() && late.remaining() == 0);
    late.add_noise(values("a", SHAPE), values("b", SHAPE));
}

/// A schedule by what differs from the scheduler's defaults.
fn schedule(kind: &str, config: &Value, steps: usize) -> lowshot::Result<Schedule> {
    let kind: SchedulerKind = kind.parse()?;
    let mut config = config.clone();
    config["_class_name"] = json!(kind.class());
    let config = SchedulerConfig::from_json(config.to_string().as_bytes(), "scheduler_config.json")?;
    Schedule::new(&config, kind, steps)
}
