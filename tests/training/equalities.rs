//! What must come out the same: a step with less memory, merged towers, whatever is not trained.

use burn::tensor::Tensor;
use burn_flex::Flex;
use lowshot::{
    adapter::{
        bitfit::BitFitConfig,
        lora::{Encoder, LoraConfig, Position, Projection},
        tuning::{Batch, LiveMetaConfig, Training, TuningConfig},
    },
    clip::{
        Clip,
        vision::{Vision, Vit},
        walk::{Tower, Visitor},
    },
};
use pollster::block_on;

use crate::problem::{Problem, bits, difference, everything, rms, values};

/// Loss and gradients of a training's next step.
fn gradients(problem: &Problem, config: TuningConfig) -> (f64, Vec<Vec<f32>>) {
    let breaking = config.breaking.is_some();
    let (loss, gradients) = problem.started(config).gradients(problem.batch(breaking), false).unwrap();
    (f64::from(loss.into_scalar()), gradients.into_iter().map(|gradient| values(gradient.unwrap())).collect())
}

/// Equal to 1e-5 of each gradient's size; of the largest one's where a gradient is nothing but rounding error, as that of the
/// keys' biases.
fn assert_equal(what: &str, found: &(f64, Vec<Vec<f32>>), expected: &(f64, Vec<Vec<f32>>)) {
    assert!((found.0 / expected.0 - 1.0).abs() <= 1e-6, "{what}: the loss is {} instead of {}", found.0, expected.0);
    let largest = expected.1.iter().map(|gradient| rms(gradient)).fold(0.0, f64::max);
    let mut worst = 0.0f64;
    for (found, expected) in found.1.iter().zip(&expected.1) {
        let size = rms(expected);
        let off = difference(found, expected) / if size < 1e-6 * largest { largest } else { size };
        worst = worst.max(off);
    }
    println!("{what}: {worst:.1e}");
    assert!(worst <= 1e-5, "{what}: gradients differ by {worst:.1e}");
}

fn without_dropout() -> TuningConfig {
    let mut config = everything();
    config.lora = Some(LoraConfig { dropout: 0.0, ..LoraConfig::default() });
    config
}

#[test]
fn a_step_with_less_memory_has_the_same_gradients() {
    for model in ["tiny", "open-clip-vit"] {
        let problem = Problem::load(model);
        let plain = gradients(&problem, without_dropout());
        for (accumulate, checkpoint_blocks) in [(1, true), (2, false), (3, false), (3, true)] {
            let found = gradients(&problem, TuningConfig { accumulate, checkpoint_blocks, ..without_dropout() });
            assert_equal(&format!("{model}, {accumulate} parts, blocks {checkpoint_blocks}"), &found, &plain);
        }
    }
}

#[test]
fn blocks_that_are_run_again_drop_the_same() {
    for model in ["tiny", "open-clip-vit"] {
        let problem = Problem::load(model);
        let plain = gradients(&problem, everything());
        let found = gradients(&problem, TuningConfig { checkpoint_blocks: true, ..everything() });
        assert_equal(model, &found, &plain);
        let other = gradients(&problem, without_dropout());
        assert!((other.0 - plain.0).abs() > 1e-3, "{model}: dropout changes nothing");
    }
}

#[test]
fn only_blocks_from_the_first_that_trains_are_run_again() {
    let problem = Problem::load("tiny");
    for encoder in [Encoder::Both, Encoder::Vision, Encoder::Text] {
        for position in [Position::HalfUp, Position::HalfBottom] {
            let lora = LoraConfig { encoder, position, ..LoraConfig::default() };
            let config = TuningConfig { batch: 6, lora: Some(lora), ..TuningConfig::default() };
            let plain = gradients(&problem, config.clone());
            let found = gradients(&problem, TuningConfig { checkpoint_blocks: true, ..config.clone() });
            assert_equal(&format!("{encoder:?} {position:?}"), &found, &plain);
        }
    }
    let resnet = Problem::load("open-clip-resnet");
    let config = TuningConfig { batch: 6, bitfit: Some(BitFitConfig::default()), ..TuningConfig::default() };
    let plain = gradients(&resnet, config.clone());
    for (accumulate, checkpoint_blocks) in [(1, true), (2, false), (2, true)] {
        let found = gradients(&resnet, TuningConfig { accumulate, checkpoint_blocks, ..config.clone() });
        assert_equal(&format!("ResNet, {accumulate} parts"), &found, &plain);
    }
}

#[test]
fn the_seed_decides_every_bit() {
    let problem = Problem::load("tiny");
    let after = |seed: u64| {
        let mut training = problem.training(everything(), seed);
        for _ in 0..3 {
            block_on(training.step(problem.batch(true))).unwrap();
        }
        training.state().tensors.into_iter().flat_map(|(_, tensor)| bits(tensor)).collect::<Vec<_>>()
    };
    assert!(after(1) == after(1), "the same seed gives other bits");
    let (one, two) = (after(1), after(2));
    let equal = one.iter().zip(&two).filter(|(one, two)| one == two).count();
    assert!(
        one.len() == two.len() && equal < one.len() / 100,
        "{equal} of {} numbers do not depend on the seed",
        one.len()
    );
}

#[test]
fn each_step_drops_others() {
    let problem = Problem::load("tiny");
    let mut config = everything();
    config.optimiser.learning_rate = 1e-30;
    (config.breaking, config.bitfit) = (None, None);
    for (lora, meta) in [(0.25, 0.0), (0.0, 0.25)] {
        config.lora = Some(LoraConfig { dropout: lora, ..LoraConfig::default() });
        config.meta = Some(LiveMetaConfig { dropout: meta });
        let mut training = problem.started(config.clone());
        let losses = [0, 1].map(|_| block_on(training.step(problem.batch(false))).unwrap().loss);
        assert!((losses[0] - losses[1]).abs() > 1e-4, "dropout {lora} and {meta}: {losses:?}");
    }
}

fn features(clip: &Clip<Flex>, problem: &Problem) -> [Vec<u32>; 2] {
    [bits(clip.image_features(problem.batch(false).pixels)), bits(clip.text_features(&problem.prompts))]
}

#[test]
fn training_starts_at_the_model_itself() {
    for model in ["tiny", "open-clip-vit"] {
        let problem = Problem::load(model);
        let all = vec![Projection::Query, Projection::Key, Projection::Value, Projection::Output];
        let lora = Some(LoraConfig { projections: all, ..LoraConfig::default() });
        let config = TuningConfig { batch: 6, lora, bitfit: Some(BitFitConfig::default()), ..TuningConfig::default() };
        let mut training = problem.training(config, 7);
        let merged = training.tuning().merged(&problem.clip);
        assert!(features(&merged, &problem) == features(&problem.clip, &problem), "{model}: a start changes features");
        // The branch too, dropout on: a product with B, which is zero.
        let batch = problem.batch(false);
        let images = values(problem.clip.image_features(batch.pixels.clone()));
        let text = values(problem.clip.text_features(&problem.prompts));
        let expected = cross_entropy(&problem, &images, &text);
        let loss = f64::from(training.gradients(batch, false).unwrap().0.into_scalar());
        assert!((loss / expected - 1.0).abs() <= 1e-5, "{model}: {loss} instead of {expected}");
    }
}

/// Mean cross entropy of unit features, in f64.
fn cross_entropy(problem: &Problem, images: &[f32], text: &[f32]) -> f64 {
    let width = problem.shape.embedding;
    let of = |(image, &label): (&[f32], &usize)| {
        let dot = |class: &[f32]| image.iter().zip(class).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let logits: Vec<f64> = text.chunks(width).map(|class| f64::from(problem.scale) * dot(class)).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln() - logits[label]
    };
    images.chunks(width).zip(&problem.labels).map(of).sum::<f64>() / problem.labels.len() as f64
}

/// Log-probabilities of every picture and class, from the losses of a training that is asked for one at a time.
fn log_probabilities(problem: &Problem, training: &mut Training<Flex>) -> Vec<f32> {
    let pixels = problem.batch(false).pixels;
    let mut found = Vec::new();
    for picture in 0..problem.labels.len() {
        for class in 0..problem.prompts.len() {
            let pixels = pixels.clone().narrow(0, picture, 1);
            let batch = Batch { pixels, labels: vec![class], weights: Vec::new(), breaking: None };
            found.push(-training.gradients(batch, false).unwrap().0.into_scalar());
        }
    }
    found
}

#[test]
fn merged_towers_are_those_with_branches() {
    for model in ["tiny", "open-clip-vit"] {
        let problem = Problem::load(model);
        let (_, case) = problem.cases.iter().find(|(title, _)| title == "lora-qkvo").unwrap();
        let mut training = problem.case(case);
        let found = log_probabilities(&problem, &mut training);
        let merged = training.tuning().merged(&problem.clip);
        let images = merged.image_features(problem.batch(false).pixels);
        let logits = training.finish().unwrap().head.logits(images).unwrap();
        let expected = values(burn::tensor::activation::log_softmax(logits, 1));
        let off = difference(&found, &expected) / rms(&expected);
        println!("{model}: {off:.1e}");
        assert!(off <= 1e-5, "{model}: {off:.1e}");
    }
}

#[test]
fn a_picture_counts_by_its_weight() {
    let problem = Problem::load("tiny");
    let (_, case) = problem.cases.iter().find(|(title, _)| title == "lora-qkvo").unwrap();
    let mut training = problem.case(case);
    let count = problem.labels.len();
    // The loss and all its gradients, one after the other.
    let mut found = |weights: Vec<f32>| {
        let (loss, gradients) = training.gradients(Batch { weights, ..problem.batch(false) }, false).unwrap();
        let gradients = gradients.into_iter().flatten().flat_map(values);
        std::iter::once(loss.into_scalar()).chain(gradients).collect::<Vec<f32>>()
    };
    let mut by =
        |first: f32, rest: f32| found((0..count).map(|picture| if picture < 2 { first } else { rest }).collect());
    let (first, rest, whole, more) = (by(1.0, 0.0), by(0.0, 1.0), by(1.0, 1.0), by(1.0, 2.5));
    for (found, weight) in [(&whole, 1.0), (&more, 2.5)] {
        let expected: Vec<f32> = first.iter().zip(&rest).map(|(a, b)| a + weight * b).collect();
        let off = difference(found, &expected) / rms(&expected);
        assert!(off <= 1e-5, "{off:.1e}");
    }
    assert!(difference(&whole, &more) > 0.1 * rms(&whole));
    // Weights of 1 are as no weights, to the bit.
    assert_eq!(found(Vec::new()), whole);
}

/// All biases by name, to the bit.
#[derive(Default)]
struct Biases(Vec<(String, Vec<u32>)>);

impl Visitor<Flex> for Biases {
    fn bias(&mut self, name: &str, bias: &mut Tensor<Flex, 1>) {
        self.0.push((name.to_owned(), bits(bias.clone())));
    }
}

fn biases(clip: &Clip<Flex>) -> Vec<(String, Vec<u32>)> {
    let mut found = Biases::default();
    clip.clone().walk(&mut found);
    found.0
}

/// Outputs of the parts of an image tower up to the first block.
fn first_block(clip: &Clip<Flex>, problem: &Problem) -> Vec<u32> {
    let vit: &Vit<Flex> = match &clip.vision {
        Vision::Vit(vit) => vit,
        Vision::ResNet(_) => unreachable!("the model has a vision transformer"),
    };
    bits(vit.block(0, vit.embed(problem.batch(false).pixels)))
}

#[test]
fn what_is_not_trained_keeps_its_bits() {
    let problem = Problem::load("tiny");
    let before = (features(&problem.clip, &problem), biases(&problem.clip));
    let trained = |lora: Option<LoraConfig>, bitfit: Option<Encoder>| {
        let bitfit = bitfit.map(|encoder| BitFitConfig { encoder });
        let mut training = problem.training(TuningConfig { batch: 6, lora, bitfit, ..TuningConfig::default() }, 3);
        for _ in 0..3 {
            block_on(training.step(problem.batch(false))).unwrap();
        }
        // The towers that were given are as they were: nothing is written in place.
        assert!(
            before == (features(&problem.clip, &problem), biases(&problem.clip)),
            "training changes the model itself"
        );
        training.tuning().merged(&problem.clip)
    };
    let lora = |encoder, position| Some(LoraConfig { encoder, position, ..LoraConfig::default() });

    // LoRA in one tower changes that tower alone, and no bias.
    let vision = trained(lora(Encoder::Vision, Position::All), None);
    assert!(biases(&vision) == before.1, "LoRA changes biases");
    let [image, text] = features(&vision, &problem);
    assert!(text == before.0[1] && image != before.0[0], "LoRA in the image tower");
    let [image, text] = features(&trained(lora(Encoder::Text, Position::All), None), &problem);
    assert!(image == before.0[0] && text != before.0[1], "LoRA in the text tower");

    // In the upper blocks it leaves those below them.
    let upper = trained(lora(Encoder::Vision, Position::HalfUp), None);
    assert!(first_block(&upper, &problem) == first_block(&problem.clip, &problem), "LoRA changes a block below");
    assert!(features(&upper, &problem)[0] != before.0[0]);

    // BitFit changes every bias of its tower and none of the other.
    let bitfit = biases(&trained(None, Some(Encoder::Text)));
    for ((name, found), (_, original)) in bitfit.iter().zip(&before.1) {
        assert_eq!(found != original, Tower::of(name) == Tower::Text, "{name}");
    }
}
