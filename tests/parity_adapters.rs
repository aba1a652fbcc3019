//! The adapters on features against PyTorch and scikit-learn (`tests/parity/adapters.py` makes the reference).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::default_trait_access,
    reason = "a test prints and fails loudly"
)]

use std::{
    ops::ControlFlow,
    pin::pin,
    task::{Context, Poll, Waker},
};

use burn::{
    backend::Flex,
    tensor::{Tensor, TensorData, backend::Backend},
};
use lowshot::{
    Result,
    adapter::{
        Adapter, FewShot, Fit, Labelled, Method, Recipe, State, fit,
        linear_probe::LinearProbeConfig,
        load,
        meta::{self, MetaConfig},
        scores,
        tip::{TipConfig, TipFConfig},
    },
    train::{Step, metrics::Metrics},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};

type B = Flex;

/// Runs a future whose device answers at once, as the CPU's does.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Tensors of a safetensors file by name.
struct Reference<'a>(SafeTensors<'a>);

impl Reference<'static> {
    fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/adapters.safetensors");
        let bytes = std::fs::read(path).expect("tests/parity/adapters.py writes the reference").leak();
        Self(SafeTensors::deserialize(bytes).unwrap())
    }
}

impl Reference<'_> {
    fn numbers(&self, name: &str) -> Vec<f64> {
        let view = self.0.tensor(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        let bytes = view.data();
        match view.dtype() {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
            Dtype::F64 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn matrix(&self, name: &str) -> Tensor<B, 2> {
        let shape = self.0.tensor(name).unwrap().shape().to_vec();
        let values: Vec<f32> = self.numbers(name).into_iter().map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn labels(&self, name: &str) -> Vec<usize> {
        self.numbers(name).into_iter().map(|label| label as usize).collect()
    }

    fn few_shot(&self) -> FewShot<B> {
        FewShot {
            text: self.matrix("text"),
            features: self.matrix("shots"),
            labels: self.labels("shots.labels"),
            val: Some(Labelled { features: self.matrix("val"), labels: self.labels("val.labels") }),
            scale: 100.0,
        }
    }

    fn parameters(&self, prefix: &str) -> meta::Parameters<B> {
        let get = |name: &str| self.matrix(&format!("{prefix}.{name}"));
        meta::Parameters {
            query: get("query.weight"),
            key: get("key.weight"),
            gate_weight: get("gate.weight"),
            gate_bias: get("gate.bias"),
        }
    }

    fn meta_training(&self, steps: usize) -> meta::Training<B> {
        let config = MetaConfig { steps, ..MetaConfig::default() };
        let random = ChaCha8Rng::seed_from_u64(0);
        meta::Training::from_parameters(config, &self.few_shot(), self.parameters("meta.0"), random).unwrap()
    }

    /// Asserts that `found` is the named reference within `tolerance` of its greatest entry.
    fn assert_close<const D: usize>(&self, found: Tensor<B, D>, name: &str, tolerance: f64) {
        assert_close(&host(found), &self.numbers(name), name, tolerance);
    }
}

fn host<const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn assert_close(found: &[f64], expected: &[f64], name: &str, tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0f64, |largest, x| largest.max(x.abs()));
    let worst = found.iter().zip(expected).fold(0f64, |worst, (a, b)| {
        // `max` would drop a number that is not one.
        if (a - b).is_nan() { f64::INFINITY } else { worst.max((a - b).abs()) }
    });
    println!("{name}: {:.1e} of the greatest entry", worst / largest);
    assert!(worst <= tolerance * largest, "{name}: off by {worst:e}, the greatest entry is {largest}");
}

fn run(recipe: Recipe, few_shot: &FewShot<B>, seed: u64) -> (Box<dyn Adapter<B>>, Vec<Step>) {
    let mut steps = Vec::new();
    let adapter = block_on(fit(recipe, few_shot, seed, &mut |step| {
        steps.push(step);
        ControlFlow::Continue(())
    }));
    (adapter.unwrap(), steps)
}

fn tensor(state: &State<B>, name: &str) -> Tensor<B, 2> {
    state.tensors.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor.clone()).unwrap()
}

fn losses(steps: &[Step]) -> Vec<f64> {
    steps.iter().map(|step| step.loss.into()).collect()
}

#[test]
fn zero_shot_logits() {
    let reference = Reference::open();
    let (adapter, steps) = run(Recipe::ZeroShot, &reference.few_shot(), 0);
    assert!(steps.is_empty());
    assert_eq!((adapter.classes(), adapter.width(), adapter.trainable_parameters()), (7, 32, 0));
    reference.assert_close(adapter.logits(reference.matrix("test")).unwrap(), "zero-shot.logits", 1e-6);
}

#[test]
fn tip_logits_for_given_and_for_searched_hyper_parameters() {
    let reference = Reference::open();
    let mut few_shot = reference.few_shot();
    let (adapter, _) = run(Method::Tip.into(), &few_shot, 0);
    let config = adapter.state().config;
    let searched = [config["beta"].as_f64().unwrap(), config["alpha"].as_f64().unwrap()];
    assert_close(&searched, &reference.numbers("tip.searched"), "tip.searched", 1e-12);
    assert_eq!(adapter.trainable_parameters(), 0);
    reference.assert_close(adapter.logits(reference.matrix("test")).unwrap(), "tip.logits", 1e-5);

    few_shot.val = None;
    let (adapter, _) = run(Method::Tip.into(), &few_shot, 0);
    let config = adapter.state().config;
    let on_shots = [config["beta"].as_f64().unwrap(), config["alpha"].as_f64().unwrap()];
    assert_close(&on_shots, &reference.numbers("tip.searched-on-shots"), "tip.searched-on-shots", 1e-12);
    let fixed = TipConfig { beta: 5.5, alpha: 1.17, search: false, ..TipConfig::default() };
    let (adapter, _) = run(Recipe::Tip(fixed), &few_shot, 0);
    reference.assert_close(adapter.logits(reference.matrix("test")).unwrap(), "tip.fixed", 1e-5);
}

#[test]
fn tip_f_after_5_and_100_steps() {
    let reference = Reference::open();
    let few_shot = reference.few_shot();
    let recipe = Recipe::TipF(TipFConfig::default());

    let mut early = block_on(Fit::start(recipe.clone(), &few_shot, 0)).unwrap();
    for _ in 0..5 {
        block_on(early.step()).unwrap().unwrap();
    }
    let early = block_on(early.finish()).unwrap();
    reference.assert_close(tensor(&early.state(), "keys"), "tip-f.keys.5", 1e-5);

    let (adapter, steps) = run(recipe, &few_shot, 0);
    assert_eq!(adapter.trainable_parameters(), 20 * 32);
    reference.assert_close(tensor(&adapter.state(), "keys"), "tip-f.keys.100", 1e-5);
    assert_close(&losses(&steps), &reference.numbers("tip-f.losses"), "tip-f.losses", 1e-5);
    let config = adapter.state().config;
    let searched = [config["beta"].as_f64().unwrap(), config["alpha"].as_f64().unwrap()];
    assert_close(&searched, &reference.numbers("tip-f.searched"), "tip-f.searched", 1e-12);
    reference.assert_close(adapter.logits(reference.matrix("test")).unwrap(), "tip-f.logits", 2e-5);
}

#[test]
fn meta_forward_gradients_and_training_from_given_weights() {
    let reference = Reference::open();
    let mut training = reference.meta_training(200);
    let (loss, gradients) = training.gradients();
    assert_close(&host(loss), &reference.numbers("meta.losses")[..1], "loss", 1e-5);
    for (name, gradient) in [
        ("query.weight", gradients.query),
        ("key.weight", gradients.key),
        ("gate.weight", gradients.gate_weight),
        ("gate.bias", gradients.gate_bias),
    ] {
        reference.assert_close(gradient, &format!("meta.gradient.{name}"), 1e-5);
    }

    let untrained = reference.meta_training(0).finish();
    assert_eq!(untrained.trainable_parameters(), 2 * 32 * 32 + 32 + 1);
    reference.assert_close(untrained.logits(reference.matrix("test")).unwrap(), "meta.logits.0", 1e-5);

    let mut steps = Vec::new();
    while let Some(step) = block_on(training.step()).unwrap() {
        steps.push(step);
    }
    assert_close(&losses(&steps), &reference.numbers("meta.losses"), "meta.losses", 2e-5);
    let mut early = reference.meta_training(200);
    for _ in 0..10 {
        block_on(early.step()).unwrap().unwrap();
    }
    for (training, done) in [(early, 10), (training, 200)] {
        let adapter = training.finish();
        let state = adapter.state();
        for name in ["query.weight", "key.weight", "gate.weight", "gate.bias"] {
            reference.assert_close(tensor(&state, name), &format!("meta.{done}.{name}"), 2e-5);
        }
        let logits = adapter.logits(reference.matrix("test")).unwrap();
        reference.assert_close(logits, &format!("meta.logits.{done}"), 1e-5);
    }
}

#[test]
fn meta_applied_to_classes_that_it_never_saw() {
    let reference = Reference::open();
    // The learnt weights as PyTorch has them, so that this tests the application alone.
    let config = MetaConfig { steps: 0, ..MetaConfig::default() };
    let learnt = reference.parameters("meta.200");
    let random = ChaCha8Rng::seed_from_u64(0);
    let base = meta::Training::from_parameters(config, &reference.few_shot(), learnt, random).unwrap().finish();
    let novel = FewShot {
        text: reference.matrix("novel.text"),
        features: reference.matrix("novel.shots"),
        labels: reference.labels("novel.labels"),
        val: None,
        scale: 100.0,
    };
    let adapter = base.with_classes(&novel).unwrap();
    assert_eq!(adapter.classes(), 4);
    reference.assert_close(adapter.logits(reference.matrix("test")).unwrap(), "novel.logits", 1e-5);
}

#[test]
fn linear_probe_finds_scikit_learns_minimum() {
    let reference = Reference::open();
    let few_shot = reference.few_shot();
    for (name, c) in [("10", 10.0), ("0.1", 0.1)] {
        let (adapter, steps) = run(Recipe::LinearProbe(LinearProbeConfig { c, ..Default::default() }), &few_shot, 0);
        assert_eq!(steps.len(), 1);
        let state = adapter.state();
        // scikit-learn knows the six classes with shots; the seventh is never predicted.
        let known = tensor(&state, "weight").narrow(0, 0, 6);
        reference.assert_close(known, &format!("linear-probe.{name}.coefficients"), 1e-5);
        let intercept = tensor(&state, "intercept").slice([0..1, 0..6]);
        reference.assert_close(intercept, &format!("linear-probe.{name}.intercept"), 1e-5);
        let scores = block_on(scores(adapter.as_ref(), reference.matrix("test"))).unwrap();
        let expected = reference.numbers(&format!("linear-probe.{name}.probabilities"));
        for ((row, found), expected) in scores.rows().zip(scores.predictions()).zip(expected.chunks_exact(6)) {
            let probabilities = lowshot::train::metrics::softmax(row);
            assert_eq!(probabilities[6], 0.0);
            let probabilities: Vec<f64> = probabilities[..6].iter().map(|&p| p.into()).collect();
            assert!(probabilities.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
            let best = (0..6).max_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
            assert_eq!(found.class, best);
        }
    }
}

#[test]
fn the_probe_searches_c_on_the_validation_images() {
    let few_shot = Reference::open().few_shot();
    let recipe = |search| Recipe::LinearProbe(LinearProbeConfig { c: 1e-6, search, ..Default::default() });
    let right = |adapter: &dyn Adapter<B>| {
        let val = few_shot.val.clone().unwrap();
        Metrics::new(&block_on(scores(adapter, val.features)).unwrap(), &val.labels).unwrap().top1
    };
    let (given, _) = run(recipe(false), &few_shot, 0);
    let (searched, steps) = run(recipe(true), &few_shot, 0);
    // Seven powers of ten, then one or two neighbours of the best at each of four halvings.
    assert!((11..=15).contains(&steps.len()), "{} fits", steps.len());
    assert_eq!(steps.last().map(|step| step.steps), Some(steps.len()));
    assert!(right(searched.as_ref()) > right(given.as_ref()));
    assert!(searched.state().config["c"].as_f64().unwrap() > 1e-3);
}

#[test]
fn every_state_makes_the_same_adapter_again() {
    let reference = Reference::open();
    let device = Default::default();
    for method in Method::ON_FEATURES {
        let (adapter, _) = run(method.into(), &reference.few_shot(), 3);
        let (config, tensors) = block_on(adapter.state().into_data()).unwrap();
        let config = serde_json::from_str(&config.to_string()).unwrap();
        let state = State::<B>::from_data("a.safetensors", config, tensors, &device).unwrap();
        let again = load("a.safetensors", method, state).unwrap();
        assert_eq!(again.method(), method);
        assert_eq!(again.trainable_parameters(), adapter.trainable_parameters());
        let test = reference.matrix("test");
        assert_eq!(host(again.logits(test.clone()).unwrap()), host(adapter.logits(test).unwrap()), "{method}");
    }
}

#[test]
fn a_damaged_state_is_refused_by_name() {
    let few_shot = Reference::open().few_shot();
    let damage = |method: Method, change: &dyn Fn(&mut State<B>)| -> String {
        let mut state = run(method.into(), &few_shot, 0).0.state();
        change(&mut state);
        load("a.safetensors", method, state).err().map(|why| why.to_string()).unwrap_or_default()
    };
    let first = |state: &mut State<B>| drop(state.tensors.remove(0));
    assert_eq!(damage(Method::ZeroShot, &first), "a.safetensors: zero-shot adapter: tensor text is missing");
    let narrow = |state: &mut State<B>| state.tensors[1].1 = state.tensors[1].1.clone().slice([0..20, 0..9]);
    assert!(damage(Method::Tip, &narrow).contains("tensor keys is [20, 9], expected [20, 32]"));
    assert!(damage(Method::Meta, &narrow).contains("tensor support is [20, 9]"));
    let another = |state: &mut State<B>| state.tensors.push(("extra".into(), state.tensors[0].1.clone()));
    assert!(damage(Method::LinearProbe, &another).contains("unexpected tensors: extra"));
    let label = |state: &mut State<B>| state.config["labels"][0] = 7.into();
    assert!(damage(Method::TipF, &label).contains("label 7 among 7 classes"));
    let fewer = |state: &mut State<B>| state.config["labels"] = serde_json::json!([0]);
    assert!(damage(Method::Meta, &fewer).contains("expected [1, 32]"));
    let scale = |state: &mut State<B>| drop(state.config.as_object_mut().unwrap().remove("scale"));
    assert!(damage(Method::Meta, &scale).contains("missing field `scale`"));
    let state = run(Method::Tip.into(), &few_shot, 0).0.state();
    assert!(load("a", Method::TipF, state).err().unwrap().to_string().contains("its recipe is of tip"));

    let refuse = |data: TensorData| {
        let tensors = [("text".to_owned(), data)];
        State::<B>::from_data("a", serde_json::Value::Null, tensors, &Default::default()).unwrap_err().to_string()
    };
    assert!(refuse(TensorData::new(vec![f32::NAN], [1, 1])).contains("not finite"));
    assert!(refuse(TensorData::new(vec![1f32], [1])).contains("not a matrix"));
    assert!(refuse(TensorData::new(vec![1i64], [1, 1])).contains("not a float"));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_learnt() {
    let good = Reference::open().few_shot();
    let refuse = |recipe: Recipe, change: &dyn Fn(&mut FewShot<B>)| -> String {
        let mut few_shot = good.clone();
        change(&mut few_shot);
        block_on(Fit::start(recipe, &few_shot, 0)).err().map(|why| why.to_string()).unwrap_or_default()
    };
    for method in Method::ON_FEATURES {
        let recipe = Recipe::from(method);
        assert_eq!(refuse(recipe.clone(), &|_| ()), "", "{method}");
        assert!(refuse(recipe.clone(), &|f| f.labels[3] = 7).contains("label 7 of row 3 names no class"), "{method}");
        assert!(
            refuse(recipe.clone(), &|f| f.labels.truncate(19)).contains("20 rows of features with 19 labels"),
            "{method}"
        );
        assert!(
            refuse(recipe.clone(), &|f| f.text = f.text.clone().slice([0..7, 0..8])).contains("width 32"),
            "{method}"
        );
        assert!(
            refuse(recipe.clone(), &|f| f.features = f.features.clone() * 2.0).contains("row 0 has length 2"),
            "{method}"
        );
        assert!(refuse(recipe.clone(), &|f| f.text = f.text.clone() * f32::NAN).contains("length NaN"), "{method}");
        assert!(refuse(recipe.clone(), &|f| f.scale = 0.0).contains("scale"), "{method}");
        let empty = refuse(recipe.clone(), &|f| {
            f.features = Tensor::zeros([0, 32], &f.text.device());
            f.labels.clear();
        });
        assert_eq!(empty.contains("no images to learn from"), method != Method::ZeroShot, "{method}: {empty}");
    }
    let dropout = Recipe::Meta(MetaConfig { dropout: 1.0, ..MetaConfig::default() });
    assert!(refuse(dropout, &|_| ()).contains("dropout"));
    let c = Recipe::LinearProbe(LinearProbeConfig { c: -1.0, ..LinearProbeConfig::default() });
    assert!(refuse(c, &|_| ()).contains("give a positive number"));
    let wide = Tensor::<B, 2>::zeros([1, 33], &Default::default());
    assert!(run(Recipe::ZeroShot, &good, 0).0.logits(wide).is_err());
}

#[test]
fn the_seed_decides_everything_random() {
    let reference = Reference::open();
    let few_shot = reference.few_shot();
    let recipe = |dropout| Recipe::Meta(MetaConfig { steps: 20, dropout, ..MetaConfig::default() });
    let mut noise = 0;
    let mut logits = |dropout, seed| {
        noise += 1;
        // The backend's own generator must have no say.
        B::seed(&Default::default(), noise);
        host(run(recipe(dropout), &few_shot, seed).0.logits(reference.matrix("test")).unwrap())
    };
    assert_eq!(logits(0.4, 1), logits(0.4, 1));
    assert_ne!(logits(0.4, 1), logits(0.4, 2));
    assert_ne!(logits(0.4, 1), logits(0.0, 1));
}

#[test]
fn training_can_be_stopped_and_keeps_what_was_learnt() -> Result<()> {
    let reference = Reference::open();
    let few_shot = reference.few_shot();
    for method in [Method::TipF, Method::Meta] {
        let mut seen = Vec::new();
        let adapter = block_on(fit(method.into(), &few_shot, 1, &mut |step| {
            seen.push(step.step);
            if step.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }))?;
        assert_eq!(seen, [1, 2, 3], "{method}");
        assert_eq!(adapter.logits(reference.matrix("test"))?.dims(), [56, 7]);
    }
    // A probe that was never asked for a step knows nothing, and says so by equal logits.
    let adapter = block_on(block_on(Fit::start(Method::LinearProbe.into(), &few_shot, 0))?.finish())?;
    let logits = host(adapter.logits(reference.matrix("test"))?);
    assert!(logits.chunks_exact(7).all(|row| row[..6].iter().all(|&x| x == 0.0)));
    Ok(())
}

#[test]
fn only_what_carries_over_is_given_other_classes() {
    let reference = Reference::open();
    let few_shot = reference.few_shot();
    let mut fewer = few_shot.clone();
    fewer.text = few_shot.text.clone().narrow(0, 0, 3);
    let kept: Vec<usize> = (0..20).filter(|&row| few_shot.labels[row] < 3).collect();
    fewer.labels = kept.iter().map(|&row| few_shot.labels[row]).collect();
    let rows = kept.iter().map(|&row| few_shot.features.clone().narrow(0, row, 1)).collect();
    fewer.features = Tensor::cat(rows, 0);
    fewer.val = None;
    for method in Method::ON_FEATURES {
        let bound = run(method.into(), &few_shot, 1).0.with_classes(&fewer);
        match method {
            Method::TipF | Method::LinearProbe => assert!(bound.err().unwrap().to_string().contains(&method.name())),
            _ => assert_eq!(bound.unwrap().logits(reference.matrix("test")).unwrap().dims(), [56, 3]),
        }
    }
}

#[test]
fn meta_has_524801_parameters_at_width_512() {
    let random = &mut ChaCha8Rng::seed_from_u64(0);
    let parameters = meta::Parameters::<B>::new(512, random, &Default::default());
    assert_eq!(parameters.count(), 524_801);
    let query = host(parameters.query);
    let bound = f64::from((6f32 / 1024.0).sqrt());
    let largest = query.iter().fold(0f64, |largest, x| largest.max(x.abs()));
    assert!(largest <= bound && largest > 0.99 * bound);
    assert_eq!(host(parameters.gate_bias), [1.0]);
}
