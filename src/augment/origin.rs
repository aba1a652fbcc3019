//! All that decides a generated picture, as its record in the manifest and in the picture itself.

use serde::{Deserialize, Serialize};

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Still shows its class.
    LabelPreserving,
    /// No longer shows its class.
    LabelBreaking,
    /// A weak regeneration of a label-breaking picture: the second view of its pair.
    LabelBreakingView,
}

impl Kind {
    /// All, in the order in which they are made: a view is made of a picture of the kind before it.
    pub const ALL: [Self; 3] = [Self::LabelPreserving, Self::LabelBreaking, Self::LabelBreakingView];

    /// The folder of its pictures; also its name in a record.
    pub fn folder(self) -> &'static str {
        match self {
            Self::LabelPreserving => "label_preserving",
            Self::LabelBreaking => "label_breaking",
            Self::LabelBreakingView => "label_breaking_view",
        }
    }
}

/// All that decides a picture's pixels, but for the device's rounding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// What the picture is for.
    pub kind: Kind,
    /// Its number among those of its kind and source.
    pub index: usize,
    /// The picture it was made from: a training image, relative to the data set's image folder; for a view a label-breaking picture,
    /// relative to the folder of the generated ones.
    pub source: String,
    /// SHA-256 of that picture's file.
    pub source_sha256: String,
    /// How much of it was given up, in (0, 1]: the part of the steps that were taken.
    pub strength: f64,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Whether the first step is the one that the original code takes, one later than diffusers'.
    pub original_strength: bool,
    /// Weight of the prompt (classifier-free guidance).
    pub guidance: f64,
    /// The scheduler's name.
    pub scheduler: String,
    /// Side of the square picture, in pixels.
    pub size: u32,
    /// What it shall show.
    pub prompt: String,
    /// What it shall not show.
    pub negative: String,
    /// The noise's seed.
    pub seed: u64,
    /// SHA-256 of the model.
    pub model_sha256: String,
}

/// An origin, whose picture it is, and by what it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The picture's path, relative to the folder of the generated ones.
    pub picture: String,
    /// What decides it.
    #[serde(flatten)]
    pub origin: Origin,
    /// What the model is called.
    pub model: String,
    /// The device that computed it.
    pub device: String,
    /// The version of this program.
    pub lowshot: String,
}

/// A line of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose picture it is and where it comes from.
    #[serde(flatten)]
    pub record: Record,
    /// SHA-256 of the picture's file.
    pub sha256: String,
    /// Why the file is not there any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dropped: Option<Dropped>,
}

/// Why a label-preserving picture was dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Cosine of its CLIP feature and its class's.
    pub similarity: f64,
    /// What it should have reached.
    pub threshold: f64,
    /// The CLIP that compared.
    pub clip: String,
    /// SHA-256 of its weights.
    pub clip_sha256: String,
}

impl Entry {
    /// The line, with its end.
    pub fn line(&self) -> String {
        // Text and finite numbers always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record of a picture.
    pub(crate) fn record(picture: &str) -> Record {
        let origin = Origin {
            kind: Kind::LabelBreaking,
            index: 3,
            source: "Wald/Bäume 1.jpg".into(),
            source_sha256: "ab".repeat(32),
            strength: 0.6,
            steps: 50,
            original_strength: false,
            guidance: 5.0,
            scheduler: "ddim".into(),
            size: 8,
            prompt: "森の写真, “a forest”".into(),
            negative: String::new(),
            seed: (1 << 53) - 1,
            model_sha256: "cd".repeat(32),
        };
        Record { picture: picture.into(), origin, model: "sd".into(), device: "cpu".into(), lowshot: "0.1.0".into() }
    }

    /// An entry of a picture with the hash `sha256`.
    pub(crate) fn entry(picture: &str, sha256: &str) -> Entry {
        Entry { record: record(picture), sha256: sha256.into(), dropped: None }
    }

    #[test]
    fn a_line_says_the_same_when_read_again() {
        let dropped = Dropped { similarity: 0.1, threshold: 0.2, clip: "demo".into(), clip_sha256: "ef".into() };
        for dropped in [None, Some(dropped)] {
            let entry = Entry { dropped, ..entry("label_breaking/Wald/Bäume 1/3.png", "01") };
            let line = entry.line();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
            assert!(line.starts_with("{\"picture\":\"label_breaking/Wald"), "{line}");
        }
    }
}
