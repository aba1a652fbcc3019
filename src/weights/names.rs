//! Where each layout keeps the tensors that the towers ask for by OpenAI's names.

/// How a checkpoint names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Hugging Face transformers' `CLIPModel`.
    HuggingFace,
    /// OpenAI's own names, which OpenCLIP kept.
    OpenAi,
    /// transformers 5's `CLIPTextModel`: Hugging Face's names without the tower's.
    HuggingFaceText,
    /// diffusers, whose tensors are asked for by their own names.
    Diffusers,
    /// diffusers before 0.17, which called the projections of an autoencoder's attention otherwise.
    OldDiffusers,
}

/// Which tensors of a file make one that the towers ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Names in the file, to be joined along the first dimension.
    pub parts: Vec<String>,
    /// Whether the file holds the transpose.
    pub transposed: bool,
}

impl Layout {
    /// Tells the layout by the names in a file; `None` where it is neither.
    pub fn detect<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<Self> {
        names.find_map(|name| match name {
            "visual.conv1.weight" => Some(Self::OpenAi),
            "vision_model.embeddings.patch_embedding.weight" => Some(Self::HuggingFace),
            _ => None,
        })
    }

    /// Tells the layout of a diffusers pipeline's component by the names in a file.
    pub fn detect_component<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        let telling = |name: &str| match name {
            "text_model.embeddings.token_embedding.weight" => Some(Self::HuggingFace),
            "embeddings.token_embedding.weight" => Some(Self::HuggingFaceText),
            _ if name.ends_with(".mid_block.attentions.0.query.weight") => Some(Self::OldDiffusers),
            _ => None,
        };
        names.find_map(telling).unwrap_or(Self::Diffusers)
    }

    /// The tensors that make `name`.
    pub fn recipe(self, name: &str) -> Recipe {
        match self {
            Self::OpenAi | Self::Diffusers => plain(name.to_owned()),
            Self::HuggingFace => hugging_face(name),
            Self::HuggingFaceText => {
                let mut recipe = hugging_face(name);
                recipe.parts.iter_mut().for_each(|part| *part = part.replacen("text_model.", "", 1));
                recipe
            }
            Self::OldDiffusers => {
                let projections = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];
                let old = |name: String, (new, old)| name.replace(&format!(".{new}."), &format!(".{old}."));
                plain(projections.into_iter().fold(name.to_owned(), old))
            }
        }
    }

    /// Whether a tensor that nobody asked for may be there: buffers that can be computed, counters, recorded sizes.
    pub fn ignores(self, name: &str) -> bool {
        match self {
            Self::OpenAi => {
                matches!(name, "input_resolution" | "context_length" | "vocab_size" | "attn_mask")
                    || name.ends_with(".num_batches_tracked")
            }
            Self::HuggingFace | Self::HuggingFaceText => name.ends_with("embeddings.position_ids"),
            Self::Diffusers | Self::OldDiffusers => false,
        }
    }
}

fn plain(name: String) -> Recipe {
    Recipe { parts: vec![name], transposed: false }
}

fn hugging_face(name: &str) -> Recipe {
    match name {
        "visual.proj" => return Recipe { parts: vec!["visual_projection.weight".into()], transposed: true },
        "text_projection" => return Recipe { parts: vec!["text_projection.weight".into()], transposed: true },
        "logit_scale" => return plain(name.into()),
        _ => {}
    }
    let (tower, rest) = match name.strip_prefix("visual.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", name),
    };
    let Some(block) = rest.strip_prefix("transformer.resblocks.") else {
        let embedding = match rest {
            "class_embedding" => "embeddings.class_embedding",
            "conv1.weight" => "embeddings.patch_embedding.weight",
            "positional_embedding" => "embeddings.position_embedding.weight",
            "token_embedding.weight" => "embeddings.token_embedding.weight",
            // The missing letter is Hugging Face's, and part of every file.
            "ln_pre.weight" => "pre_layrnorm.weight",
            "ln_pre.bias" => "pre_layrnorm.bias",
            "ln_post.weight" => "post_layernorm.weight",
            "ln_post.bias" => "post_layernorm.bias",
            "ln_final.weight" => "final_layer_norm.weight",
            "ln_final.bias" => "final_layer_norm.bias",
            other => other,
        };
        return plain(format!("{tower}.{embedding}"));
    };
    let (index, part) = block.split_once('.').unwrap_or((block, ""));
    let layer = format!("{tower}.encoder.layers.{index}");
    if let Some(kind) = part.strip_prefix("attn.in_proj_") {
        let parts = ["q", "k", "v"].map(|which| format!("{layer}.self_attn.{which}_proj.{kind}"));
        return Recipe { parts: parts.into(), transposed: false };
    }
    let part = part
        .replace("ln_1", "layer_norm1")
        .replace("ln_2", "layer_norm2")
        .replace("attn.out_proj", "self_attn.out_proj")
        .replace("mlp.c_fc", "mlp.fc1")
        .replace("mlp.c_proj", "mlp.fc2");
    plain(format!("{layer}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugging_face_names() {
        let layout = Layout::HuggingFace;
        assert_eq!(layout.recipe("visual.ln_pre.bias").parts, ["vision_model.pre_layrnorm.bias"]);
        assert!(layout.recipe("text_projection").transposed);
        let fused = layout.recipe("transformer.resblocks.11.attn.in_proj_bias").parts;
        assert_eq!(fused[1], "text_model.encoder.layers.11.self_attn.k_proj.bias");
        let mlp = layout.recipe("visual.transformer.resblocks.0.mlp.c_proj.weight").parts;
        assert_eq!(mlp, ["vision_model.encoder.layers.0.mlp.fc2.weight"]);
        assert_eq!(Layout::HuggingFaceText.recipe("ln_final.bias").parts, ["final_layer_norm.bias"]);
    }

    #[test]
    fn diffusers_names() {
        let attention = "encoder.mid_block.attentions.0";
        let layout = Layout::detect_component([format!("{attention}.query.weight").as_str()].into_iter());
        assert_eq!(layout, Layout::OldDiffusers);
        let recipe = |name: &str| layout.recipe(&format!("{attention}.{name}")).parts;
        assert_eq!(recipe("to_out.0.bias"), [format!("{attention}.proj_attn.bias")]);
        assert_eq!(recipe("to_q.weight"), [format!("{attention}.query.weight")]);
        assert_eq!(recipe("group_norm.weight"), [format!("{attention}.group_norm.weight")]);
        assert_eq!(Layout::detect_component(["conv_in.weight"].into_iter()), Layout::Diffusers);
    }
}
