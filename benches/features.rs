//! Features of pictures and texts by the CPU's towers that users run.
//!
//! By itself it measures ViT-B/16 with random weights, as `lowshot bench` does. With `--serve FOLDER` it reads a model and inputs from
//! `FOLDER` and answers lines `images BATCH` and `texts BATCH` by milliseconds, so that `benches/peers/features.py` can take turns
//! with it. `--precision` is that of the towers; as many threads compute as `RAYON_NUM_THREADS` says.
#![allow(clippy::print_stdout)]

#[path = "support/model.rs"]
mod model;
mod support;

use burn_flex::{Flex, FlexDevice};
use lowshot::{
    bench::{Plan, Subject, UnetChoice, What, architectures::architecture, run},
    clip::{ClipBackend, Format, Precision},
    experiment::Event,
};

use model::Model;

fn serve(folder: &str) {
    let precision = support::after("--precision").map_or(Precision::F32, |name| name.parse().expect("a precision"));
    if !<Flex as ClipBackend>::computes_in(precision, &FlexDevice) {
        println!("absent the CPU does not compute in {precision} here");
        return;
    }
    let mut model = Model::open(folder);
    model.clip = model.clip.in_precision(precision);
    support::serve(|line| {
        let mut words = line.trim_start_matches("output ").split_whitespace();
        let (what, batch) = (words.next().expect("images or texts"), words.next().expect("a batch"));
        let batch = batch.parse().expect("a number");
        let features = || match what {
            "images" => model.clip.vision.forward(model.images(batch)),
            _ => model.clip.text.forward(model.texts(batch)),
        };
        if line.starts_with("output ") {
            features().into_data().iter::<f64>().collect()
        } else {
            vec![support::milliseconds(features)]
        }
    });
}

fn main() {
    if let Some(folder) = support::after("--serve") {
        return serve(&folder);
    }
    let subject = Subject::<Flex>::random(architecture("ViT-B/16").expect("a shape"), Format::default(), &FlexDevice)
        .expect("a format of the CPU");
    let plan = Plan {
        what: vec![What::Images, What::Texts],
        threads: vec![1, 2],
        batches: vec![1, 8],
        seconds: 3.0,
        unet: UnetChoice::Half,
    };
    for found in run(&plan, &subject, &mut |_: &Event| {}).expect("towers that run") {
        println!(
            "{}, batch {}, {} threads: {:.1} ms each in the median, {:.1} at best",
            found.what, found.batch, found.threads, found.wall_ms.median, found.wall_ms.min
        );
    }
}
