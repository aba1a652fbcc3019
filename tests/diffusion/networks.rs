//! Every block and architecture computes what diffusers computes, from seeded weights and inputs.

use burn::tensor::{DType, Tensor};
use burn_flex::Flex;
use lowshot::diffusion::autoencoder::tiny::TinyHalf;
use lowshot::diffusion::autoencoder::{AutoencoderConfig, TinyAutoencoder, TinyConfig, VariationalAutoencoder};
use lowshot::diffusion::unet::{Unet, UnetConfig};
use serde_json::Value;

use crate::reference::{Errors, Seeded, Tensors, kept, read, values};

const TIMESTEP: f64 = 261.0;
const GUIDANCE: f64 = 7.5;
const BATCH: usize = 2;
const TOKENS: usize = 7;
const CONTEXT: usize = 24;

#[test]
fn unets_of_every_architecture() {
    let (cases, tensors) = (read("unets"), Tensors::read("unets"));
    let mut errors = Errors::new();
    for (name, case) in cases.as_object().unwrap() {
        let config = UnetConfig::parse(name, config(case).as_bytes()).unwrap();
        let mut parameters = Seeded::new(case["faint"].as_bool().unwrap());
        let unet = Unet::<Flex>::load(&mut parameters, &config, DType::F32);
        check_inventory(name, case, parameters);
        let [height, width] = size(case);
        let text = unet.read(values("unet.text", [BATCH, TOKENS, CONTEXT]));
        let out = unet.forward(values("unet.latent", [BATCH, height, width, 4]), TIMESTEP, GUIDANCE, &text);
        assert_eq!(out.dims(), [BATCH, height, width, 4], "{name}");
        errors.check(&tensors, name, &kept(out));
    }
    errors.finish(14);
}

#[test]
fn autoencoders_both_ways() {
    let (cases, tensors) = (read("autoencoders"), Tensors::read("autoencoders"));
    let mut errors = Errors::new();
    for (name, case) in cases.as_object().unwrap().iter().filter(|(_, case)| class(case) == "AutoencoderKL") {
        let config = AutoencoderConfig::parse(name, config(case).as_bytes()).unwrap();
        let mut parameters = Seeded::new(case["faint"].as_bool().unwrap());
        let autoencoder = VariationalAutoencoder::<Flex>::load(&mut parameters, &config, DType::F32);
        check_inventory(name, case, parameters);
        let tiled = case["tiled"].as_bool().unwrap();
        let posterior = autoencoder.encode(pixels(case), tiled);
        let latent = values("vae.latent", posterior.mean.dims());
        errors.check(&tensors, &format!("{name}.latent"), &kept(posterior.mean));
        errors.check(&tensors, &format!("{name}.log_variance"), &kept(posterior.log_variance));
        errors.check(&tensors, &format!("{name}.pixels"), &kept(autoencoder.decode(latent, tiled)));
    }
    errors.finish(5 * 3);
}

#[test]
fn the_tiny_autoencoder_both_ways() {
    let (cases, tensors) = (read("autoencoders"), Tensors::read("autoencoders"));
    let (name, case) = cases.as_object().unwrap().iter().find(|(_, case)| class(case) == "AutoencoderTiny").unwrap();
    let config = TinyConfig::parse(name, config(case).as_bytes()).unwrap();
    let mut parameters = Seeded::new(case["faint"].as_bool().unwrap());
    let encoder = TinyHalf::<Flex>::load_encoder(&mut parameters, &config);
    let decoder = TinyHalf::load_decoder(&mut parameters, &config);
    check_inventory(name, case, parameters);
    let autoencoder = TinyAutoencoder::new(encoder, decoder, config, DType::F32);
    let mut errors = Errors::new();
    let latent = autoencoder.encode(pixels(case));
    let given = values("vae.latent", latent.dims());
    errors.check(&tensors, &format!("{name}.latent"), &kept(latent));
    errors.check(&tensors, &format!("{name}.pixels"), &kept(autoencoder.decode(given)));
    errors.finish(2);
}

/// The network asks for all of the tensors that diffusers' has, and for no others.
fn check_inventory(name: &str, case: &Value, parameters: Seeded) {
    let (count, sha256) = parameters.inventory();
    assert_eq!(count as u64, case["tensors"].as_u64().unwrap(), "{name}");
    assert_eq!(sha256, case["sha256"].as_str().unwrap(), "{name}");
}

fn config(case: &Value) -> String {
    case["config"].to_string()
}

fn class(case: &Value) -> &str {
    case["config"]["_class_name"].as_str().unwrap()
}

fn size(case: &Value) -> [usize; 2] {
    serde_json::from_value(case["size"].clone()).unwrap()
}

/// A seeded picture, from −1 to 1.
fn pixels(case: &Value) -> Tensor<Flex, 4> {
    let [height, width] = size(case);
    values("vae.pixels", [1, height, width, 3]) / 3f64.sqrt()
}
