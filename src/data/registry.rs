//! The data sets known by name: where each keeps its split and its images, and its prompt template.
//!
//! Folders and split files are those of CoOp's collection (Zhou et al., 2022), which the few-shot literature uses, and
//! of the LITE benchmark (Zhang et al., 2024).

use super::templates::DEFAULT;

/// Where a data set's split comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitSource {
    /// A file in CoOp's JSON form.
    Json(&'static str),
    /// A file in CoOp's JSON form whose class names are numbers, and the file that holds their words.
    NumberedJson {
        /// The split.
        split: &'static str,
        /// The words ([`class_names`](super::class_names)).
        label_map: &'static str,
    },
    /// The text files of FGVC-Aircraft ([`aircraft`](super::aircraft)).
    Aircraft,
}

impl SplitSource {
    /// The file that gives the layout away.
    pub fn file(self) -> &'static str {
        match self {
            Self::Json(split) | Self::NumberedJson { split, .. } => split,
            Self::Aircraft => "images_variant_train.txt",
        }
    }
}

/// A data set that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// How results call it.
    pub name: &'static str,
    /// Its folder's name.
    pub folder: &'static str,
    /// Its split.
    pub split: SplitSource,
    /// The folder, inside its own, to which image paths are relative; empty for its own.
    pub images: &'static str,
    /// Its prompt templates.
    pub templates: &'static [&'static str],
    /// What to call the class folders where the split file is absent; empty where folder names serve.
    pub class_names: &'static [(&'static str, &'static str)],
}

/// A data set of CoOp's collection.
const fn coop(
    name: &'static str,
    folder: &'static str,
    split: &'static str,
    images: &'static str,
    templates: &'static [&'static str],
) -> Known {
    Known { name, folder, split: SplitSource::Json(split), images, templates, class_names: &[] }
}

/// A data set of the LITE benchmark.
const fn lite(name: &'static str, templates: &'static [&'static str]) -> Known {
    let split = SplitSource::NumberedJson { split: "split_config.json", label_map: "label_map.json" };
    Known { name, folder: name, split, images: "data", templates, class_names: &[] }
}

/// CoOp's names for EuroSAT's folders.
const EUROSAT_CLASSES: &[(&str, &str)] = &[
    ("AnnualCrop", "Annual Crop Land"),
    ("Forest", "Forest"),
    ("HerbaceousVegetation", "Herbaceous Vegetation Land"),
    ("Highway", "Highway or Road"),
    ("Industrial", "Industrial Buildings"),
    ("Pasture", "Pasture Land"),
    ("PermanentCrop", "Permanent Crop Land"),
    ("Residential", "Residential Buildings"),
    ("River", "River"),
    ("SeaLake", "Sea or Lake"),
];

const FLOWER: &[&str] = &["a photo of a {}, a type of flower."];
const AIRCRAFT: &[&str] = &["a photo of a {}, a type of aircraft."];

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        class_names: EUROSAT_CLASSES,
        ..coop("eurosat", "eurosat", "split_zhou_EuroSAT.json", "2750", &["a centered satellite photo of {}."])
    },
    lite("circuit-diagrams", &["a circuit diagram of {}."]),
    lite("historic-maps", &["a historic map of {}."]),
    lite("mechanical-drawings", &["a mechanical drawing of {}."]),
    coop("caltech101", "caltech-101", "split_zhou_Caltech101.json", "101_ObjectCategories", &[DEFAULT]),
    coop("oxford_pets", "oxford_pets", "split_zhou_OxfordPets.json", "images", &["a photo of a {}, a type of pet."]),
    coop("stanford_cars", "stanford_cars", "split_zhou_StanfordCars.json", "", &[DEFAULT]),
    coop("oxford_flowers", "oxford_flowers", "split_zhou_OxfordFlowers.json", "jpg", FLOWER),
    coop("food101", "food-101", "split_zhou_Food101.json", "images", &["a photo of {}, a type of food."]),
    Known { split: SplitSource::Aircraft, ..coop("fgvc_aircraft", "fgvc_aircraft", "", "images", AIRCRAFT) },
    coop("sun397", "sun397", "split_zhou_SUN397.json", "SUN397", &[DEFAULT]),
    coop("dtd", "dtd", "split_zhou_DescribableTextures.json", "images", &["{} texture."]),
    coop("ucf101", "ucf101", "split_zhou_UCF101.json", "UCF-101-midframes", &["a photo of a person doing {}."]),
];

impl Known {
    /// The data set called `name`, whatever its capitals, hyphens and underscores; its folder's name serves too, and
    /// so do the short names `circuits`, `maps` and `drawings`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let name = plain(name);
        let long = match name.as_str() {
            "circuits" => "circuitdiagrams",
            "maps" => "historicmaps",
            "drawings" => "mechanicaldrawings",
            other => other,
        };
        KNOWN.iter().find(|known| plain(known.name) == long || plain(known.folder) == long)
    }

    /// The data set whose split file is called `file`, where only one has a file of that name.
    pub fn by_split_file(file: &str) -> Option<&'static Self> {
        let mut found = KNOWN.iter().filter(|known| known.split.file() == file);
        found.next().filter(|_| found.next().is_none())
    }

    /// The names of all, for a message.
    pub fn names() -> String {
        KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_spelling() {
        for (spelling, name) in [
            ("eurosat", "eurosat"),
            ("EuroSAT", "eurosat"),
            ("Oxford-Pets", "oxford_pets"),
            ("caltech-101", "caltech101"),
            ("circuits", "circuit-diagrams"),
            ("circuit_diagrams", "circuit-diagrams"),
        ] {
            assert_eq!(Known::by_name(spelling).map(|known| known.name), Some(name));
        }
        assert_eq!(Known::by_name("euro"), None);
        assert_eq!(Known::by_split_file("split_zhou_EuroSAT.json").map(|known| known.name), Some("eurosat"));
        assert_eq!(Known::by_split_file("split_config.json"), None);
    }

    #[test]
    fn names_and_folders_tell_the_data_sets_apart() {
        for known in KNOWN {
            assert_eq!(Known::by_name(known.name), Some(known));
            assert_eq!(Known::by_name(known.folder), Some(known));
        }
    }
}
