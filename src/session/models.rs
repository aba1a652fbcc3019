//! The models that have a name.

/// A model with a name, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct NamedModel {
    /// What `--model` takes.
    pub name: &'static str,
    /// Its repository on the Hugging Face hub; `None` for the model inside the package.
    pub repository: Option<&'static str>,
    /// The revision of it that holds safetensors.
    pub revision: &'static str,
    /// Millions of parameters.
    pub parameters: f32,
    /// Side of its input, in pixels.
    pub image: usize,
    /// What it is good for.
    pub about: &'static str,
}

/// The model inside the package.
pub const DEMO: &str = "demo";

/// The revision that most are taken from.
const MAIN: &str = "main";

/// All of them, smallest first.
pub const MODELS: &[NamedModel] = &[
    NamedModel {
        name: DEMO,
        repository: None,
        revision: MAIN,
        parameters: 8.4,
        image: 64,
        about: "inside the package; knows 61 nouns, so few-shot only",
    },
    NamedModel {
        name: "TinyCLIP-8M",
        repository: Some("wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M"),
        revision: MAIN,
        parameters: 23.4,
        image: 224,
        about: "smallest real CLIP",
    },
    NamedModel {
        name: "RN50",
        repository: Some("timm/resnet50_clip.openai"),
        revision: MAIN,
        parameters: 102.0,
        image: 224,
        about: "OpenAI's ResNet, the Tip-Adapter paper's backbone",
    },
    NamedModel {
        name: "RN101",
        repository: Some("timm/resnet101_clip.openai"),
        revision: MAIN,
        parameters: 119.7,
        image: 224,
        about: "OpenAI's larger ResNet",
    },
    NamedModel {
        name: "ViT-B/16",
        repository: Some("openai/clip-vit-base-patch16"),
        revision: MAIN,
        parameters: 149.6,
        image: 224,
        about: "the few-shot literature's usual backbone",
    },
    NamedModel {
        name: "ViT-B/32",
        repository: Some("openai/clip-vit-base-patch32"),
        // The main branch has pickles only; this is the conversion in its pull request 15.
        revision: "eaee4c876b93e66f7fac584b529025a96d71ad66",
        parameters: 151.3,
        image: 224,
        about: "a quarter of ViT-B/16's time",
    },
    NamedModel {
        name: "ViT-L/14",
        repository: Some("openai/clip-vit-large-patch14"),
        revision: MAIN,
        parameters: 427.6,
        image: 224,
        about: "more accurate, five times slower",
    },
    NamedModel {
        name: "ViT-L/14@336px",
        repository: Some("openai/clip-vit-large-patch14-336"),
        revision: MAIN,
        parameters: 427.9,
        image: 336,
        about: "OpenAI's most accurate",
    },
];

/// The model called `name`, in any case of letters.
pub fn named(name: &str) -> Option<&'static NamedModel> {
    MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
}
