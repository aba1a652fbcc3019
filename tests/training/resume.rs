//! A training that goes on from its stored state is the one that was never interrupted, bit for bit.

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use lowshot::adapter::{
    State,
    tuning::{Training, TuningConfig},
};
use pollster::block_on;
use serde_json::json;

use crate::problem::{Problem, bits, everything};

type Bits = Vec<(String, Vec<u32>)>;

fn contents(training: &Training<Flex>) -> Bits {
    training.state().tensors.into_iter().map(|(name, tensor)| (name, bits(tensor))).collect()
}

fn go(training: &mut Training<Flex>, problem: &Problem, steps: usize) -> Vec<u32> {
    (0..steps).map(|_| block_on(training.step(problem.batch(true))).unwrap().loss.to_bits()).collect()
}

/// As a file does it: numbers on the host in between.
fn stored(training: &Training<Flex>) -> State<Flex> {
    let (config, tensors) = block_on(training.state().into_data()).unwrap();
    let config = serde_json::from_str(&config.to_string()).unwrap();
    State::from_data("checkpoint", config, tensors, &FlexDevice).unwrap()
}

#[test]
fn going_on_gives_the_bits_of_an_unbroken_run() {
    let problem = Problem::load("tiny");
    for config in [everything(), TuningConfig { accumulate: 2, checkpoint_blocks: true, ..everything() }] {
        let mut unbroken = problem.training(config.clone(), 5);
        // The bank of two batches is not full, full, and has forgotten some.
        for before in [0, 1, 2, 4] {
            let mut training = problem.training(config.clone(), 5);
            go(&mut training, &problem, before);
            let state = stored(&training);
            let losses = go(&mut training, &problem, 2);
            // Into a new training, and into one that has gone another way.
            let mut used = problem.training(config.clone(), 5);
            go(&mut used, &problem, 3);
            for mut resumed in std::iter::once(problem.training(config.clone(), 5)).chain(std::iter::once(used)) {
                resumed.restore(state.clone()).unwrap();
                assert_eq!(resumed.done(), before);
                assert!(go(&mut resumed, &problem, 2) == losses, "other losses after {before} steps");
                assert!(contents(&resumed) == contents(&training), "another state after {before} steps");
            }
        }
        go(&mut unbroken, &problem, 6);
        let moments = contents(&unbroken).iter().filter(|(name, _)| name.starts_with("moment_")).count();
        assert_eq!(moments, 2 * (unbroken.tuning().names().len() + 4));
        assert_eq!(contents(&unbroken).iter().filter(|(name, _)| name.starts_with("bank.")).count(), 2);
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let problem = Problem::load("tiny");
    let mut training = problem.training(everything(), 5);
    go(&mut training, &problem, 2);
    let good = stored(&training);
    let width = problem.shape.embedding;
    let replaced = |name: &str, shape: [usize; 2]| {
        let mut state = good.clone();
        let at = state.tensors.iter().position(|(other, _)| other == name).unwrap();
        state.tensors[at].1 = Tensor::zeros(shape, &FlexDevice);
        state
    };
    let mut missing = good.clone();
    missing.tensors.pop();
    let mut more = good.clone();
    more.tensors.push(("value.999".into(), Tensor::zeros([1, 1], &FlexDevice)));
    let mut late = good.clone();
    late.config["done"] = json!(9);
    let mut full = good.clone();
    full.config["bank"] = json!(3);
    full.tensors.push(("bank.2".into(), Tensor::zeros([4, width], &FlexDevice)));
    let mut settings = good.clone();
    settings.config["config"]["steps"] = json!(9);
    let mut seed = good.clone();
    seed.config["seed"] = json!(6);
    let before = contents(&training);
    for (state, word) in [
        (missing, "bank.1"),
        (more, "value.999"),
        (late, "9 steps"),
        (full, "bank"),
        (settings, "other settings"),
        (seed, "other settings"),
        (replaced("value.0", [3, 64]), "value.0"),
        (replaced("moment_2.1", [2, 65]), "moment_2.1"),
        (replaced("bank.0", [4, width + 1]), "bank.0"),
    ] {
        let why = training.restore(state).unwrap_err();
        assert!(why.contains(word), "{why} does not say {word}");
        assert!(contents(&training) == before, "{why}: something was changed");
    }
    training.restore(good).unwrap();
}
