//! The shapes of the models that have a name, for measuring one whose weights are not on this machine.

use crate::clip::{
    ClipConfig,
    config::{EndOfText, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig},
    kernels::Activation,
};

/// A stack of blocks with heads of 64 numbers and an MLP four times as wide, as all of these have.
fn transformer(layers: usize, width: usize, activation: Activation) -> TransformerConfig {
    TransformerConfig { layers, width, heads: width / 64, mlp: 4 * width, activation, epsilon: 1e-5 }
}

/// The shape of the model called `name`, in any case of letters.
pub fn architecture(name: &str) -> Option<ClipConfig> {
    const QUICK: Activation = Activation::QuickGelu;
    let vit = |image, patch, transformer| VisionConfig::Vit(VitConfig { image, patch, transformer });
    let resnet = |stages, heads| VisionConfig::ResNet(ResNetConfig { image: 224, width: 64, stages, heads });
    let (embedding, vision, text) = match name.to_lowercase().as_str() {
        "demo" => (256, vit(64, 8, transformer(6, 128, QUICK)), transformer(4, 128, QUICK)),
        "tinyclip-8m" => {
            (512, vit(224, 16, transformer(10, 256, Activation::Gelu)), transformer(3, 256, Activation::Gelu))
        }
        "rn50" => (1024, resnet([3, 4, 6, 3], 32), transformer(12, 512, QUICK)),
        "rn101" => (512, resnet([3, 4, 23, 3], 32), transformer(12, 512, QUICK)),
        "vit-b/32" => (512, vit(224, 32, transformer(12, 768, QUICK)), transformer(12, 512, QUICK)),
        "vit-b/16" => (512, vit(224, 16, transformer(12, 768, QUICK)), transformer(12, 512, QUICK)),
        "vit-l/14" => (768, vit(224, 14, transformer(24, 1024, QUICK)), transformer(12, 768, QUICK)),
        "vit-l/14@336px" => (768, vit(336, 14, transformer(24, 1024, QUICK)), transformer(12, 768, QUICK)),
        _ => return None,
    };
    let text = TextConfig { vocabulary: 49408, context: 77, end_of_text: EndOfText::LargestId, transformer: text };
    Some(ClipConfig { embedding, vision, text })
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;
    use crate::{
        platform::models::demo_files,
        session::{Backbone, models::MODELS},
    };

    #[test]
    fn every_named_model_has_a_shape() {
        for model in MODELS {
            let shape = architecture(model.name).unwrap_or_else(|| panic!("{} has none", model.name));
            assert_eq!(shape.vision.image(), model.image, "{}", model.name);
            shape.validated(model.name).unwrap();
        }
        assert_eq!(architecture("ViT-Z/99"), None);
    }

    #[test]
    fn the_demo_models_is_that_of_its_files() {
        let backbone = Backbone::<Flex>::load("demo", &demo_files(), &Default::default()).unwrap();
        let shape = architecture("demo").unwrap();
        assert_eq!((shape.embedding, &shape.vision), (backbone.config.embedding, &backbone.config.vision));
        assert_eq!(shape.text.transformer, backbone.config.text.transformer);
    }
}
