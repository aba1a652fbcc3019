//! Which files of a repository are wanted: what a model is read from, and never more than one form of its weights.

use regex::Regex;

use super::Listed;
use crate::{Error, Result};

/// What says that a repository holds a diffusion pipeline, and of which parts.
pub const PIPELINE: &str = "model_index.json";
/// The parts of a Stable Diffusion pipeline that are used.
const PARTS: [&str; 5] = ["scheduler", "tokenizer", "text_encoder", "unet", "vae"];
/// What a CLIP model is read from, besides its weights.
const BESIDES: [&str; 6] = [
    "config.json",
    "preprocessor_config.json",
    "open_clip_config.json",
    "vocab.json",
    "merges.txt",
    "scheduler_config.json",
];
/// What stands in for the last two where they are absent.
const TOKENIZER: &str = "tokenizer.json";
const SAFETENSORS: &str = ".safetensors";

/// Which files are wanted.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Those that fit any of these patterns, in which `*` stands for any letters, `?` for one. Where there are none, those that
    /// lowshot reads the model from.
    pub include: Vec<String>,
    /// Weights in another form than the usual, as `fp16` in `model.fp16.safetensors`.
    pub variant: Option<String>,
}

impl Choice {
    /// The chosen ones of a repository's files.
    ///
    /// # Errors
    /// None fits, or there are no weights that could be read.
    pub fn of(&self, repository: &str, files: &[Listed]) -> Result<Vec<Listed>> {
        let wrong = |why: String| Error::Usage(format!("{repository}: {why}"));
        if !self.include.is_empty() {
            let patterns: Vec<Regex> = self.include.iter().map(|glob| pattern(glob)).collect::<Result<_>>()?;
            let chosen: Vec<Listed> = files
                .iter()
                .filter(|file| patterns.iter().any(|pattern| pattern.is_match(&file.name)))
                .cloned()
                .collect();
            if chosen.is_empty() {
                return Err(wrong(format!("no file there fits --include {}", self.include.join(" --include "))));
            }
            return Ok(chosen);
        }
        let variant = self.variant.as_deref();
        let index = files.iter().filter(|file| file.name == PIPELINE);
        let mut chosen: Vec<Listed> = index.cloned().collect();
        if chosen.is_empty() {
            let root = Folder::new("", files);
            chosen.extend(root.model());
            chosen.extend(root.weights(variant).map_err(wrong)?);
        } else {
            for part in PARTS {
                let folder = Folder::new(part, files);
                chosen.extend(folder.small());
                // What has no weights at all is a scheduler or a tokenizer.
                if folder.has_weights() {
                    chosen.extend(folder.weights(variant).map_err(wrong)?);
                }
            }
        }
        let comes_as = |variant: &str| chosen.iter().any(|file| file.name.contains(&format!(".{variant}")));
        match variant.filter(|variant| !comes_as(variant)) {
            Some(variant) => {
                Err(wrong(format!("its weights do not come as the variant {variant}: leave --variant out")))
            }
            None => Ok(chosen),
        }
    }
}

/// The files of one folder, by their names in it.
struct Folder<'a> {
    name: &'a str,
    files: Vec<(&'a str, &'a Listed)>,
}

impl<'a> Folder<'a> {
    fn new(name: &'a str, files: &'a [Listed]) -> Self {
        let within = |file: &'a Listed| match name {
            "" => Some(file.name.as_str()),
            _ => file.name.strip_prefix(name)?.strip_prefix('/'),
        };
        let files = files.iter().filter_map(|file| Some((within(file)?, file)));
        Self { name, files: files.filter(|(name, _)| !name.contains('/')).collect() }
    }

    fn get(&self, name: &str) -> Option<Listed> {
        self.files.iter().find(|(found, _)| *found == name).map(|(_, file)| (*file).clone())
    }

    /// What a model is read from besides its weights.
    fn model(&self) -> Vec<Listed> {
        let mut found: Vec<Listed> = BESIDES.iter().filter_map(|name| self.get(name)).collect();
        if self.get("vocab.json").is_none() || self.get("merges.txt").is_none() {
            found.extend(self.get(TOKENIZER));
        }
        found
    }

    /// Configurations and vocabularies.
    fn small(&self) -> Vec<Listed> {
        let is_small =
            |name: &str| (name.ends_with(".json") || name.ends_with(".txt")) && !name.ends_with(".index.json");
        self.files.iter().filter(|(name, _)| is_small(name)).map(|(_, file)| (*file).clone()).collect()
    }

    fn has_weights(&self) -> bool {
        let kinds = [SAFETENSORS, ".bin", ".pt", ".ckpt", ".msgpack", ".h5"];
        self.files.iter().any(|(name, _)| kinds.iter().any(|kind| name.ends_with(kind)))
    }

    /// The safetensors of one form of the weights: a file, or all of its shards with their index.
    fn weights(&self, variant: Option<&str>) -> Result<Vec<Listed>, String> {
        // A repository of timm holds OpenCLIP's file and, as model.safetensors, the image tower alone.
        let stems = match self.get("open_clip_config.json") {
            Some(_) => ["open_clip_model", "open_clip_pytorch_model", "model", "diffusion_pytorch_model"],
            None => ["model", "diffusion_pytorch_model", "open_clip_model", "open_clip_pytorch_model"],
        };
        // A part that does not come in the variant is taken as it is, as diffusers does.
        for variant in [variant, None] {
            let variant = variant.map_or_else(String::new, |variant| format!(".{variant}"));
            for stem in stems {
                if let Some(file) = self.get(&format!("{stem}{variant}{SAFETENSORS}")) {
                    return Ok(vec![file]);
                }
                if let Some(index) = self.get(&format!("{stem}{SAFETENSORS}.index{variant}.json")) {
                    let shards = self.files.iter().filter(|(name, _)| is_shard(name, stem, &variant));
                    return Ok(shards.map(|(_, file)| (*file).clone()).chain([index]).collect());
                }
            }
        }
        let place = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        let variants = self.variants();
        if !variants.is_empty() {
            return Err(format!(
                "its weights{place} come only as the variant {}: give --variant",
                variants.join(" or ")
            ));
        }
        if !self.has_weights() {
            return Err(format!("there are no weights{place}; where only some files are wanted, give --include"));
        }
        Err(format!(
            "it has no safetensors{place} at this revision, and lowshot opens no pickles; a pull request there may hold a \
             conversion: give it by --revision refs/pr/NUMBER"
        ))
    }

    /// The variants that the weights come in.
    fn variants(&self) -> Vec<&str> {
        let names = self.files.iter().filter_map(|(name, _)| name.strip_suffix(SAFETENSORS));
        let mut variants: Vec<&str> = names.filter_map(|name| Some(name.split_once('.')?.1)).collect();
        variants.retain(|variant| variant.chars().all(|letter| letter.is_ascii_alphanumeric()));
        variants.sort_unstable();
        variants.dedup();
        variants
    }
}

/// Whether a name is like `model.fp16-00001-of-00002.safetensors`.
fn is_shard(name: &str, stem: &str, variant: &str) -> bool {
    let number = name
        .strip_prefix(stem)
        .and_then(|name| name.strip_suffix(SAFETENSORS)?.strip_prefix(variant)?.strip_prefix('-'));
    number.and_then(|number| number.split_once("-of-")).is_some_and(|(part, of)| {
        [part, of].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    })
}

/// A pattern as `huggingface_hub` reads it: `*` stands for slashes too, and a folder for all that is in it.
fn pattern(glob: &str) -> Result<Regex> {
    let all = if glob.ends_with('/') { "*" } else { "" };
    let letters = glob.chars().chain(all.chars()).map(|letter| match letter {
        '*' => ".*".to_owned(),
        '?' => ".".to_owned(),
        letter => regex::escape(&letter.to_string()),
    });
    Regex::new(&format!("^{}$", letters.collect::<String>()))
        .map_err(|_| Error::Usage(format!("--include {glob}: too long a pattern")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::hub::Hash;

    fn chosen(choice: &Choice, names: &[&str]) -> Result<Vec<String>> {
        let listed = |name: &&str| Listed {
            name: (*name).into(),
            bytes: 1,
            blob: String::new(),
            hash: Hash::Md5(String::new()),
        };
        let files: Vec<Listed> = names.iter().map(listed).collect();
        let mut chosen: Vec<String> = choice.of("a/b", &files)?.into_iter().map(|file| file.name).collect();
        chosen.sort();
        Ok(chosen)
    }

    fn plain(names: &[&str]) -> Result<Vec<String>> {
        chosen(&Choice::default(), names)
    }

    #[test]
    fn a_clip_model_is_its_configuration_vocabulary_and_safetensors() {
        let names = [
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "merges.txt",
            "model.safetensors",
            "preprocessor_config.json",
        ];
        let more = ["pytorch_model.bin", "tokenizer.json", "vocab.json", "onnx/model.safetensors"];
        let wanted = ["config.json", "merges.txt", "model.safetensors", "preprocessor_config.json", "vocab.json"];
        assert_eq!(plain(&[&names[..], &more].concat()).unwrap(), wanted);
        assert_eq!(plain(&["model.safetensors", "tokenizer.json"]).unwrap(), ["model.safetensors", "tokenizer.json"]);
        // OpenCLIP's file where there is its configuration; beside it timm keeps the image tower alone.
        let timm = ["config.json", "model.safetensors", "open_clip_config.json", "open_clip_model.safetensors"];
        assert!(!plain(&timm).unwrap().contains(&"model.safetensors".to_owned()));
    }

    #[test]
    fn shards_come_with_their_index() {
        let names =
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"];
        assert_eq!(plain(&[&names[..], &["model.fp16-00001-of-00001.safetensors"]].concat()).unwrap(), names);
    }

    const SD: [&str; 16] = [
        "model_index.json",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    #[test]
    fn a_pipeline_is_its_parts_in_one_form() {
        let weights = |variant: Option<&str>| -> Vec<String> {
            let choice = Choice { variant: variant.map(str::to_owned), ..Choice::default() };
            let chosen = chosen(&choice, &SD).unwrap();
            assert!(chosen.contains(&PIPELINE.to_owned()) && chosen.contains(&"tokenizer/vocab.json".to_owned()));
            assert!(chosen.iter().all(|name| !name.starts_with("safety") && !name.ends_with(".bin")), "{chosen:?}");
            chosen.into_iter().filter(|name| name.ends_with(SAFETENSORS)).collect()
        };
        let plain = ["text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"];
        assert_eq!(weights(None), plain.map(|name| format!("{name}.safetensors")));
        // This VAE does not come in half precision.
        let halves = ["text_encoder/model.fp16", "unet/diffusion_pytorch_model.fp16", "vae/diffusion_pytorch_model"];
        assert_eq!(weights(Some("fp16")), halves.map(|name| format!("{name}.safetensors")));
    }

    #[test]
    fn what_cannot_be_read_is_said_beforehand() {
        let message = |names: &[&str]| plain(names).unwrap_err().to_string();
        assert!(message(&["config.json", "pytorch_model.bin"]).contains("no pickles"));
        assert!(message(&["config.json"]).contains("no weights"));
        assert!(message(&["config.json", "model.fp16.safetensors"]).contains("variant fp16"));
        assert!(message(&["model_index.json", "unet/diffusion_pytorch_model.bin"]).contains("in unet"));
        let choice = Choice { variant: Some("fp16".into()), ..Choice::default() };
        assert!(
            chosen(&choice, &["config.json", "model.safetensors"])
                .unwrap_err()
                .to_string()
                .contains("leave --variant out")
        );
    }

    #[test]
    fn patterns_are_those_of_huggingface_hub() {
        let names = ["a.json", "b/c.json", "b/d.txt"];
        for (glob, fit) in
            [("*.json", &["a.json", "b/c.json"][..]), ("b/", &["b/c.json", "b/d.txt"]), ("b/?.txt", &["b/d.txt"])]
        {
            let choice = Choice { include: vec![glob.into()], ..Choice::default() };
            assert_eq!(chosen(&choice, &names).unwrap(), fit, "{glob}");
        }
        let choice = Choice { include: vec!["*.bin".into()], ..Choice::default() };
        assert!(chosen(&choice, &names).unwrap_err().to_string().contains("*.bin"));
    }
}
