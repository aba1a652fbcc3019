//! Tiles of the sample data set as photos that somebody has added.

use std::path::Path;

use lowshot::{
    clip::Preprocess,
    data::{Item, Split, decode::decode, templates},
    experiment::dataset::Dataset,
    session::{Class, Wanted},
};

/// How the classes are described.
pub const TEMPLATE: &str = "a centered satellite photo of {}.";

/// The samples inside the package.
pub fn samples() -> Dataset {
    Dataset::open("eurosat", Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))).expect("the samples")
}

/// Photos with labels, as a visitor would have added them.
pub struct Photos {
    pub classes: Vec<Class>,
    pub pictures: Vec<image::RgbImage>,
    pub labels: Vec<usize>,
}

/// The first `each` photos of some classes, after the first `skip`.
pub fn photos(
    dataset: &Dataset,
    list: impl Fn(&Split) -> &[Item],
    classes: &[&str],
    skip: usize,
    each: usize,
) -> Photos {
    let mut pictures = Vec::new();
    let mut labels = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let items = list(&dataset.split).iter().filter(|item| dataset.split.classes[item.label] == *class);
        for item in items.skip(skip).take(each) {
            pictures.push(decode(&dataset.read(item).expect("a sample"), &item.path).expect("a picture"));
            labels.push(label);
        }
    }
    let names: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
    let prompts = templates::prompts(&[TEMPLATE.to_owned()], &names);
    let classes = names.into_iter().zip(prompts).map(|(name, prompts)| Class { name, prompts }).collect();
    Photos { classes, pictures, labels }
}

impl Photos {
    pub fn plain(&self, preprocess: &Preprocess) -> Vec<Vec<u8>> {
        self.pictures.iter().map(|picture| preprocess.pixels(picture).expect("a picture that fits")).collect()
    }

    pub fn wanted(&self, preprocess: &Preprocess, wanted: &[Wanted]) -> Vec<Vec<u8>> {
        wanted
            .iter()
            .map(|wanted| wanted.view.pixels(preprocess, &self.pictures[wanted.example]).expect("a picture that fits"))
            .collect()
    }
}
