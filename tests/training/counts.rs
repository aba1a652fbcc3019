//! What trains, by name and by number, without the weights of the models that it is counted for.

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    adapter::{
        bitfit::BitFitConfig,
        lora::{Encoder, LoraConfig, Projection},
        tuning::{Tuning, TuningConfig},
    },
    clip::{
        Clip, ClipConfig, Parameters,
        config::{EndOfText, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig},
        kernels::Activation,
        walk::Tower,
    },
};
use serde_json::Value;

use crate::problem::Problem;

/// Vectors of zeros; a matrix is one number, which stands for any while nothing is computed.
struct Shapes;

impl Parameters<Flex> for Shapes {
    fn tensor<const D: usize>(&mut self, _: &str, shape: [usize; D]) -> Tensor<Flex, D> {
        Tensor::zeros(if D == 1 { shape } else { [1; D] }, &FlexDevice)
    }

    fn scalar(&mut self, _: &str) -> f32 {
        0.0
    }
}

fn transformer(layers: usize, width: usize) -> TransformerConfig {
    let (heads, mlp) = (width / 64, 4 * width);
    TransformerConfig { layers, width, heads, mlp, activation: Activation::QuickGelu, epsilon: 1e-5 }
}

fn shape(vision: VisionConfig, embedding: usize) -> ClipConfig {
    let text = TextConfig {
        vocabulary: 49408,
        context: 77,
        end_of_text: EndOfText::LargestId,
        transformer: transformer(12, 512),
    };
    ClipConfig { embedding, vision, text }
}

fn count(shape: &ClipConfig, lora: Option<LoraConfig>, bitfit: Option<Encoder>) -> usize {
    let clip = Clip::load(&mut Shapes, shape, &FlexDevice);
    let config =
        TuningConfig { lora, bitfit: bitfit.map(|encoder| BitFitConfig { encoder }), ..TuningConfig::default() };
    Tuning::new(config, &clip, shape, 0).unwrap().count()
}

fn lora(encoder: Encoder) -> LoraConfig {
    LoraConfig { encoder, ..LoraConfig::default() }
}

#[test]
fn exactly_the_stated_numbers_train() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/training/counts.json");
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let of = |model: &str, title: &str| expected[model][title].as_u64().unwrap() as usize;
    let b16 = shape(VisionConfig::Vit(VitConfig { image: 224, patch: 16, transformer: transformer(12, 768) }), 512);
    let rn50 =
        shape(VisionConfig::ResNet(ResNetConfig { image: 224, width: 64, stages: [3, 4, 6, 3], heads: 32 }), 1024);
    let all = [Projection::Query, Projection::Key, Projection::Value, Projection::Output];
    let qkvo = Some(LoraConfig { projections: all.into(), ..LoraConfig::default() });
    assert_eq!(count(&b16, Some(lora(Encoder::Both)), None), 184_320);
    assert_eq!(count(&b16, None, Some(Encoder::Both)), 171_008);
    for (title, lora, bitfit) in [
        ("lora", Some(lora(Encoder::Both)), None),
        ("lora-vision", Some(lora(Encoder::Vision)), None),
        ("lora-text", Some(lora(Encoder::Text)), None),
        ("lora-qkvo", qkvo, None),
        ("bitfit", None, Some(Encoder::Both)),
    ] {
        assert_eq!(count(&b16, lora, bitfit), of("vit-b-16", title), "{title}");
    }
    for (title, lora, bitfit) in [
        ("bitfit", None, Some(Encoder::Both)),
        ("bitfit-vision", None, Some(Encoder::Vision)),
        ("bitfit-text", None, Some(Encoder::Text)),
        ("lora-text", Some(lora(Encoder::Text)), None),
    ] {
        assert_eq!(count(&rn50, lora, bitfit), of("rn50", title), "{title}");
    }
}

#[test]
fn the_names_are_openais_and_only_of_what_is_on() {
    let problem = Problem::load("tiny");
    let names = |lora: Option<LoraConfig>, bitfit: Option<Encoder>| {
        let bitfit = bitfit.map(|encoder| BitFitConfig { encoder });
        let config = TuningConfig { lora, bitfit, ..TuningConfig::default() };
        Tuning::new(config, &problem.clip, &problem.shape, 0).unwrap().names().to_vec()
    };
    let expected: Vec<String> = (0..2)
        .flat_map(|layer| ["q", "k", "v"].map(|letter| format!("lora.transformer.resblocks.{layer}.attn.{letter}")))
        .flat_map(|branch| ["down", "up"].map(|half| format!("{branch}.{half}")))
        .collect();
    assert_eq!(names(Some(lora(Encoder::Text)), None), expected);

    let block =
        ["ln_1.bias", "attn.in_proj_bias", "attn.out_proj.bias", "ln_2.bias", "mlp.c_fc.bias", "mlp.c_proj.bias"];
    let mut expected = vec!["bias.visual.ln_pre.bias".to_owned()];
    for layer in 0..2 {
        expected.extend(block.map(|part| format!("bias.visual.transformer.resblocks.{layer}.{part}")));
    }
    expected.push("bias.visual.ln_post.bias".to_owned());
    assert_eq!(names(None, Some(Encoder::Vision)), expected);

    let both = names(Some(lora(Encoder::Vision)), Some(Encoder::Text));
    assert!(both.iter().filter(|name| name.starts_with("lora.")).all(|name| name.contains("visual.")));
    assert!(both.iter().filter(|name| name.starts_with("bias.")).all(|name| Tower::of(&name[5..]) == Tower::Text));
}
