//! Inputs that are wrong, each in one way, written into a temporary folder.
//!
//! A program under test is given [`Fault::path`] and must end with a one-line error that names what [`Fault::mentions`]
//! lists; [`Fault::check`] says so. The sound model that the faults start from is the reference `first-eos`.

mod archive;
mod configs;
mod images;
mod places;
mod shards;
mod weights;

use std::path::{Path, PathBuf};

pub use archive::torch_script;
pub use configs::configs;
pub use images::{images, png};
pub use places::{FullDisk, full_file, read_only_folder};
pub use shards::shards;
pub use weights::weights;

use super::folders;
use super::reference::Reference;
use super::seeded::Precision;

/// A matrix of the sound model, and a vector: what the faults put their hands on.
pub const MATRIX: &str = "vision_model.encoder.layers.0.mlp.fc1.weight";
/// See [`MATRIX`].
pub const VECTOR: &str = "text_model.final_layer_norm.weight";

/// One wrong input.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong, in a word or two.
    pub name: String,
    /// The file or folder to hand to the program: a model folder, a picture, a place to write to.
    pub path: PathBuf,
    /// What the error must name: the file, the tensor, the key.
    pub mentions: Vec<String>,
}

impl Fault {
    fn new(name: &str, path: &Path, mentions: &[&str]) -> Self {
        let mentions = mentions.iter().map(|&text| text.to_owned()).collect();
        Self { name: name.to_owned(), path: path.to_owned(), mentions }
    }

    /// Fails the test unless the message is one line that names all it must.
    pub fn check(&self, message: &str) {
        let message = message.trim_end();
        assert!(!message.is_empty() && !message.contains('\n'), "{}: not one line: {message:?}", self.name);
        for wanted in &self.mentions {
            assert!(message.contains(wanted), "{}: {message:?} does not name {wanted:?}", self.name);
        }
    }
}

/// Every model folder that must be refused: weights, configs, shards, archives.
pub fn models(parent: &Path) -> Vec<Fault> {
    [weights(parent), configs(parent), shards(parent), torch_script(parent)].concat()
}

/// The model that every fault starts from.
pub fn sound() -> Reference {
    Reference::load("first-eos")
}

fn sound_without(names: &[&str]) -> Vec<(String, Vec<usize>)> {
    sound().tensors.into_iter().filter(|(name, _)| !names.contains(&name.as_str())).collect()
}

/// A sound HF folder in a folder of the fault's own, for the caller to break.
fn broken_folder(parent: &Path, fault: &str) -> PathBuf {
    folders::hf_folder(&parent.join(slug(fault)), &sound(), Precision::F32)
}

/// The fault's name as a folder's name.
fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
