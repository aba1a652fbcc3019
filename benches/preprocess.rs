//! From JPEG files to normalised tensors of 224 px: milliseconds a picture, reading the file included.
//!
//! By itself it takes the JPEG files of the folders that are named, or `EuroSAT`'s samples. With `--serve FOLDER` it answers a line, the
//! name of a folder in `FOLDER`, by milliseconds for all pictures of it, so that `benches/peers/preprocess.py` can take turns with it.
//! As many threads work as `RAYON_NUM_THREADS` says, on a picture each.
#![allow(clippy::print_stdout)]

mod support;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use lowshot::{clip::Preprocess, data::decode::decode_for};
use rayon::prelude::*;

const SIZE: u32 = 224;
/// Of the numbers that come out, every so many are compared.
const EVERY: usize = 97;

/// The JPEG files in a folder and those below it, sorted.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of pictures") {
        let path = entry.expect("a file's name").path();
        if path.is_dir() {
            found.extend(pictures(&path));
        } else if path.extension().is_some_and(|ending| ending == "jpg" || ending == "jpeg") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Normalised pixels `[pictures, 3, size, size]`, row-major.
fn prepared(paths: &[PathBuf], preprocess: &Preprocess) -> Vec<f32> {
    let mut values = vec![0.0; paths.len() * 3 * (SIZE * SIZE) as usize];
    values.par_chunks_exact_mut(3 * (SIZE * SIZE) as usize).zip(paths).for_each(|(out, path)| {
        let name = path.display().to_string();
        let pixels = decode_for(preprocess, &fs::read(path).expect("a file"), &name).expect("a picture");
        preprocess.normalise(&pixels, out);
    });
    values
}

fn main() {
    let preprocess = Preprocess::clip(SIZE);
    if let Some(folder) = support::after("--serve") {
        let mut kept = HashMap::new();
        return support::serve(|line| {
            let kind = line.trim_start_matches("output ");
            let paths: &Vec<PathBuf> =
                kept.entry(kind.to_owned()).or_insert_with(|| pictures(&Path::new(&folder).join(kind)));
            if line.starts_with("output ") {
                prepared(paths, &preprocess).into_iter().step_by(EVERY).map(f64::from).collect()
            } else {
                vec![support::milliseconds(|| prepared(paths, &preprocess))]
            }
        });
    }
    let mut folders: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if folders.is_empty() {
        folders.push(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/eurosat/2750").to_owned());
    }
    for folder in folders {
        let paths = pictures(Path::new(&folder));
        let times = (0..7).map(|_| support::milliseconds(|| prepared(&paths, &preprocess)) / paths.len() as f64);
        let (median, best) = support::summary(times.collect());
        let threads = rayon::current_num_threads();
        println!(
            "{folder}, {} pictures, {threads} threads: {median:.3} ms a picture in the median, {best:.3} at best",
            paths.len()
        );
    }
}
