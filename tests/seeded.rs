//! The seeded weights, their files and the wrong inputs are what they claim to be, before other tests rely on them.

mod support;

use std::collections::BTreeSet;
use std::fs;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use support::faults::{self, FullDisk, MATRIX};
use support::folders;
use support::reference::{self, DemoReference, FULL, LARGE, Reference, SMALL};
use support::seeded::{self, Precision};

#[test]
fn first_values_equal_python_to_the_bit() {
    let samples = reference::read("samples");
    let tensors = samples["tensors"].as_array().unwrap();
    assert!(tensors.len() > 10);
    for sample in tensors {
        let name = sample["name"].as_str().unwrap();
        let shape: Vec<usize> = serde_json::from_value(sample["shape"].clone()).unwrap();
        let ours = seeded::tensor(name, &shape);
        assert_eq!(ours.len(), shape.iter().product::<usize>());
        let expected =
            |precision: &str| -> Vec<u32> { serde_json::from_value(sample["first"][precision].clone()).unwrap() };
        let first: Vec<f32> = ours.into_iter().take(4).collect();
        assert_eq!(first.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected("f32"), "{name}");
        let as_f16: Vec<_> = first.iter().map(|&v| u32::from(f16::from_f32(v).to_bits())).collect();
        assert_eq!(as_f16, expected("f16"), "{name} in f16");
        let as_bf16: Vec<_> = first.iter().map(|&v| u32::from(bf16::from_f32(v).to_bits())).collect();
        assert_eq!(as_bf16, expected("bf16"), "{name} in bf16");
    }
}

#[test]
fn pictures_equal_python_to_the_bit() {
    let pixels = seeded::pixels(2, 28);
    assert_eq!(pixels.len(), 2 * 3 * 28 * 28);
    let digest = format!("{:x}", Sha256::digest(bytemuck::cast_slice::<f32, u8>(&pixels)));
    assert_eq!(digest, reference::read("samples")["pixels"]["sha256"].as_str().unwrap());
}

#[test]
fn whole_checkpoints_equal_python_to_the_bit() {
    for name in reference::wanted() {
        let reference = Reference::load(name);
        assert_eq!(reference.weights_sha256(), reference.sha256, "{name}");
    }
}

#[test]
fn every_reference_can_be_read_and_is_worth_testing_against() {
    for name in [&SMALL[..], &FULL, &LARGE].concat() {
        let reference = Reference::load(name);
        assert_eq!(reference.texts.len(), 4, "{name}");
        assert_eq!(reference.padded_texts().len(), 4 * reference.context_length, "{name}");
        for precision in reference.precisions() {
            let expected = reference.expected(precision);
            for features in [&expected.image, &expected.text] {
                let likeness = cosine(&features[0], &features[1]);
                assert!(likeness < 0.95, "{name}: two inputs are too alike ({likeness})");
            }
        }
    }
    let demo = DemoReference::load();
    assert_eq!(demo.expected.image.len(), demo.seeded_images + demo.tiles.len());
    assert_eq!((demo.captions.len(), demo.expected.text.len()), (10, 10));
    assert!(demo.tiles.iter().all(|tile| tile.is_file()));
}

#[test]
fn relative_error_counts_what_is_wrong() {
    let expected = vec![vec![3.0, 4.0], vec![-3.0, -4.0]];
    assert_eq!(reference::relative_error(&[3.0, 4.0, -3.0, -4.0], &expected), 0.0);
    let off = reference::relative_error(&[3.0, 4.0, -3.0, -3.5], &expected);
    assert!((off - 0.5 / 12.5_f64.sqrt()).abs() < 1e-12, "{off}");
    assert!(reference::relative_error(&[3.0, 4.0, -3.0], &expected).is_infinite());
    assert!(reference::relative_error(&[3.0, f32::NAN, -3.0, -4.0], &expected).is_infinite());
}

#[test]
fn files_are_sound_safetensors_in_every_precision() {
    let reference = Reference::load("openai-resnet");
    for (precision, matrix, norm) in [
        (Precision::F32, Dtype::F32, Dtype::F32),
        (Precision::F16, Dtype::F16, Dtype::F16),
        (Precision::Bf16, Dtype::BF16, Dtype::BF16),
        (Precision::Mixed, Dtype::F16, Dtype::F32),
    ] {
        let bytes = seeded::seeded_state(&reference.tensors, precision);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let names: BTreeSet<_> = file.names().into_iter().collect();
        assert_eq!(names, reference.tensors.iter().map(|(name, _)| name.as_str()).collect());
        for (name, shape) in &reference.tensors {
            assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name}");
        }
        assert_eq!(file.tensor("visual.layer1.0.conv2.weight").unwrap().dtype(), matrix);
        assert_eq!(file.tensor("visual.layer1.0.bn1.weight").unwrap().dtype(), norm);
        assert_eq!(file.tensor("context_length").unwrap().dtype(), Dtype::I64);
        assert_eq!(file.tensor("context_length").unwrap().data(), 77_i64.to_le_bytes());
        if precision == Precision::F32 {
            let name = "visual.layer1.0.conv2.weight";
            let values = seeded::tensor(name, &[32, 32, 3, 3]);
            assert_eq!(file.tensor(name).unwrap().data(), bytemuck::cast_slice::<f32, u8>(&values));
            let shifted = folders::unaligned(&bytes);
            let shifted = SafeTensors::deserialize(&shifted).unwrap();
            assert_eq!(shifted.tensor(name).unwrap().data(), file.tensor(name).unwrap().data());
        }
    }
}

#[test]
fn folders_hold_what_their_layout_asks_for() {
    let parent = tempfile::tempdir().unwrap();
    let reference = Reference::load("tiny");
    let whole = folders::write(parent.path(), &reference, Precision::F32);
    let bytes = fs::read(whole.join("model.safetensors")).unwrap();
    let whole_file = SafeTensors::deserialize(&bytes).unwrap();
    for file in ["config.json", "preprocessor_config.json", "tokenizer.json"] {
        assert!(whole.join(file).is_file(), "{file}");
    }
    let sharded = folders::sharded_folder(&parent.path().join("sharded"), &reference, Precision::F32, 3);
    let index = fs::read(sharded.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let map = index["weight_map"].as_object().unwrap();
    assert_eq!(map.len(), reference.tensors.len());
    assert_eq!(map.values().map(|shard| shard.as_str().unwrap()).collect::<BTreeSet<_>>().len(), 3);
    for (name, shard) in map {
        let bytes = fs::read(sharded.join(shard.as_str().unwrap())).unwrap();
        let tensor = SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec();
        assert_eq!(tensor, whole_file.tensor(name).unwrap().data(), "{name}");
    }
    let open_clip = folders::write(parent.path(), &Reference::load("open-clip-vit"), Precision::F16);
    assert!(open_clip.join("open_clip_config.json").is_file());
    assert!(open_clip.join("open_clip_model.safetensors").is_file());
    let openai = folders::write(parent.path(), &Reference::load("openai-vit"), Precision::Mixed);
    assert!(openai.is_file());
}

#[test]
fn the_model_that_faults_start_from_is_sound() {
    let bytes = seeded::seeded_state(&faults::sound().tensors, Precision::F32);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor(MATRIX).unwrap().shape(), [128, 32]);
    assert_eq!(file.tensor(faults::VECTOR).unwrap().shape(), [32]);
}

#[test]
fn faults_of_the_container_are_refused_by_the_safetensors_library() {
    let parent = tempfile::tempdir().unwrap();
    let faults = faults::weights(parent.path());
    let refused = |name: &str| {
        let fault = faults.iter().find(|fault| fault.name == name).unwrap_or_else(|| panic!("no fault {name}"));
        SafeTensors::deserialize(&fs::read(fault.path.join("model.safetensors")).unwrap()).is_err()
    };
    for name in [
        "weights: empty file",
        "weights: five bytes",
        "weights: cut in the header",
        "weights: cut in the data",
        "weights: one byte short",
        "weights: bytes left over",
        "weights: header of 10 GB",
        "weights: header of 2^64 - 1 bytes",
        "weights: header is not JSON",
        "weights: header is not UTF-8",
        "weights: offsets outside the data",
        "weights: offsets backwards",
        "weights: overlapping tensors",
        "weights: a shape whose product overflows",
    ] {
        assert!(refused(name), "{name}");
    }
    // These are sound containers; only a model can tell that they are wrong.
    for name in ["weights: integers", "weights: wrong shape", "weights: NaN", "weights: infinity"] {
        assert!(!refused(name), "{name}");
    }
}

#[test]
fn every_fault_has_a_place_of_its_own_and_something_to_name() {
    let parent = tempfile::tempdir().unwrap();
    let faults = [faults::models(parent.path()), faults::images(parent.path())].concat();
    assert!(faults.len() > 50, "{}", faults.len());
    let places: BTreeSet<_> = faults.iter().map(|fault| &fault.path).collect();
    assert_eq!(places.len(), faults.len());
    for fault in &faults {
        assert!(!fault.mentions.is_empty(), "{}", fault.name);
        assert_eq!(fault.path.exists(), fault.name != "image: absent", "{}", fault.name);
    }
}

#[test]
fn wrong_pictures_are_refused_by_the_image_library() {
    let parent = tempfile::tempdir().unwrap();
    for fault in faults::images(parent.path()) {
        assert!(fault.name == "image: 60,000 x 60,000" || image::open(&fault.path).is_err(), "{}", fault.name);
    }
    let huge =
        image::ImageReader::new(std::io::Cursor::new(faults::png(60_000, 60_000))).with_guessed_format().unwrap();
    assert_eq!(huge.into_dimensions().unwrap(), (60_000, 60_000), "the header itself must be valid");
}

#[test]
fn places_that_take_no_writes_take_none() {
    let parent = tempfile::tempdir().unwrap();
    if let Some(fault) = faults::read_only_folder(parent.path()) {
        let error = fs::write(fault.path.join("lowshot-test"), b"a").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
    if let Some(disk) = FullDisk::mount(parent.path()) {
        let error = fs::write(disk.fault().path.join("run"), vec![0; 1 << 16]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    if let Some(fault) = faults::full_file(parent.path()) {
        let error = fs::write(&fault.path, b"a").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
#[should_panic(expected = "does not name")]
fn a_message_that_names_too_little_fails_the_check() {
    let parent = tempfile::tempdir().unwrap();
    faults::torch_script(parent.path())[0].check("ViT-B-32.pt: not a usable file");
}

/// Cosine of the angle between two vectors.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
