//! What adapts where: the adapter file's names and PEFT's, which are those of transformers' `CLIPModel`.

use crate::weights::names::Layout;

/// One projection of one block's attention: where LoRA puts a pair of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Module {
    /// Whether it is in the image tower.
    pub vision: bool,
    /// The block, from 0.
    pub block: usize,
    /// Its letter.
    pub projection: char,
}

/// Which matrix of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A `[r, width]`.
    Down,
    /// B `[width, r]`.
    Up,
}

impl Module {
    /// transformers' name: `vision_model.encoder.layers.3.self_attn.q_proj`.
    pub fn hugging_face(self) -> String {
        let tower = if self.vision { "vision_model" } else { "text_model" };
        let projection = if self.projection == 'o' { "out".to_owned() } else { self.projection.to_string() };
        format!("{tower}.encoder.layers.{}.self_attn.{projection}_proj", self.block)
    }

    /// The inverse of [`Self::hugging_face`]; `None` for a module that is no projection of an attention.
    pub fn from_hugging_face(name: &str) -> Option<Self> {
        let (vision, block, part) = hugging_face_block(name)?;
        let projection = match part.strip_prefix("self_attn.")? {
            "q_proj" => 'q',
            "k_proj" => 'k',
            "v_proj" => 'v',
            "out_proj" => 'o',
            _ => return None,
        };
        Some(Self { vision, block, projection })
    }

    /// The adapter file's name of one matrix: `lora.visual.transformer.resblocks.3.attn.q.down`.
    pub fn ours(self, side: Side) -> String {
        let tower = if self.vision { "visual." } else { "" };
        let side = if side == Side::Down { "down" } else { "up" };
        format!("lora.{tower}transformer.resblocks.{}.attn.{}.{side}", self.block, self.projection)
    }

    /// The inverse of [`Self::ours`].
    pub fn from_ours(name: &str) -> Option<(Self, Side)> {
        let rest = name.strip_prefix("lora.")?;
        let (vision, rest) = rest.strip_prefix("visual.").map_or((false, rest), |rest| (true, rest));
        let (block, rest) = rest.strip_prefix("transformer.resblocks.")?.split_once(".attn.")?;
        let (projection, side) = rest.split_once('.')?;
        let side = match side {
            "down" => Side::Down,
            "up" => Side::Up,
            _ => return None,
        };
        let projection = ["q", "k", "v", "o"].contains(&projection).then(|| projection.chars().next())??;
        Some((Self { vision, block: number(block)?, projection }, side))
    }
}

/// transformers' names of the biases that one bias with OpenAI's name is made of, in order (three where the attention's are
/// one vector); `None` for a bias that `CLIPModel` does not have, as a ResNet's.
pub(super) fn bias_parts(openai: &str) -> Option<Vec<String>> {
    let parts = Layout::HuggingFace.recipe(openai).parts;
    let inverse = |(index, part): (usize, &String)| openai_bias(part) == Some((openai.to_owned(), index));
    parts.iter().enumerate().all(inverse).then_some(parts)
}

/// The bias with OpenAI's name that one of transformers' belongs to, and its place in it.
pub(super) fn openai_bias(hugging_face: &str) -> Option<(String, usize)> {
    let outside = match hugging_face {
        "vision_model.pre_layrnorm.bias" => Some("visual.ln_pre.bias"),
        "vision_model.post_layernorm.bias" => Some("visual.ln_post.bias"),
        "text_model.final_layer_norm.bias" => Some("ln_final.bias"),
        _ => None,
    };
    if let Some(name) = outside {
        return Some((name.to_owned(), 0));
    }
    let (vision, block, part) = hugging_face_block(hugging_face)?;
    let (part, place) = match part {
        "layer_norm1.bias" => ("ln_1.bias", 0),
        "layer_norm2.bias" => ("ln_2.bias", 0),
        "self_attn.q_proj.bias" => ("attn.in_proj_bias", 0),
        "self_attn.k_proj.bias" => ("attn.in_proj_bias", 1),
        "self_attn.v_proj.bias" => ("attn.in_proj_bias", 2),
        "self_attn.out_proj.bias" => ("attn.out_proj.bias", 0),
        "mlp.fc1.bias" => ("mlp.c_fc.bias", 0),
        "mlp.fc2.bias" => ("mlp.c_proj.bias", 0),
        _ => return None,
    };
    let tower = if vision { "visual." } else { "" };
    Some((format!("{tower}transformer.resblocks.{block}.{part}"), place))
}

/// Tower, block and the rest of `vision_model.encoder.layers.3.mlp.fc1`.
fn hugging_face_block(name: &str) -> Option<(bool, usize, &str)> {
    let (tower, rest) = name.split_once(".encoder.layers.")?;
    let vision = match tower {
        "vision_model" => true,
        "text_model" => false,
        _ => return None,
    };
    let (block, part) = rest.split_once('.')?;
    Some((vision, number(block)?, part))
}

/// A number as it is written in names: without a sign and leading zeros.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_go_both_ways() {
        for vision in [true, false] {
            for projection in ['q', 'k', 'v', 'o'] {
                let module = Module { vision, block: 11, projection };
                assert_eq!(Module::from_hugging_face(&module.hugging_face()), Some(module));
                for side in [Side::Down, Side::Up] {
                    assert_eq!(Module::from_ours(&module.ours(side)), Some((module, side)));
                }
            }
        }
        let last = Module { vision: true, block: 3, projection: 'o' };
        assert_eq!(last.hugging_face(), "vision_model.encoder.layers.3.self_attn.out_proj");
        assert_eq!(last.ours(Side::Up), "lora.visual.transformer.resblocks.3.attn.o.up");
        for other in [
            "vision_model.encoder.layers.3.mlp.fc1",
            "visual_projection",
            "text_model.encoder.layers.03.self_attn.q_proj",
        ] {
            assert_eq!(Module::from_hugging_face(other), None, "{other}");
        }
        for other in [
            "lora.transformer.resblocks.-1.attn.q.down",
            "lora.transformer.resblocks.1.attn.qk.down",
            "lora.x",
            "q.down",
        ] {
            assert_eq!(Module::from_ours(other), None, "{other}");
        }
    }

    #[test]
    fn biases_go_both_ways_and_those_of_a_resnet_nowhere() {
        let fused = bias_parts("visual.transformer.resblocks.2.attn.in_proj_bias").unwrap();
        assert_eq!(fused[1], "vision_model.encoder.layers.2.self_attn.k_proj.bias");
        assert_eq!(bias_parts("visual.ln_pre.bias").unwrap(), ["vision_model.pre_layrnorm.bias"]);
        assert_eq!(bias_parts("ln_final.bias").unwrap(), ["text_model.final_layer_norm.bias"]);
        for name in ["ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"] {
            assert_eq!(bias_parts(&format!("transformer.resblocks.0.{name}.bias")).unwrap().len(), 1);
        }
        for other in
            ["visual.bn1.bias", "visual.attnpool.q_proj.bias", "visual.layer1.0.bn2.bias", "ln_pre.bias", "head"]
        {
            assert_eq!(bias_parts(other), None, "{other}");
        }
    }
}
