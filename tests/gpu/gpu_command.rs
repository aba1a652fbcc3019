//! The command line on a GPU, and where there is none.

use burn::tensor::Tensor;
use burn_wgpu::Wgpu;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
use lowshot::platform::{autotune, fault};
use serde_json::Value;

use super::{
    command::{Finished, Machine, tile},
    device,
};

/// The class that a command finds most probable, and how probable.
fn best(finished: Finished) -> (String, f64) {
    let json = finished.json();
    let class = &json[0]["classes"][0];
    (class["name"].as_str().unwrap().to_owned(), class["probability"].as_f64().unwrap())
}

#[test]
fn classify_says_the_same_on_a_gpu_in_either_precision() {
    let Some((_, _alone)) = device() else { return };
    let machine = Machine::new();
    let tile = tile(9);
    let classify = ["classify", &tile, "--classes", "dog,boat,tree", "--json", "--device"];
    let (expected, probability) = best(machine.run([&classify[..], &["cpu"]].concat()));
    for (precision, tolerance) in [("f32", 1e-3), ("f16", 2e-2)] {
        let (found, of) = best(machine.run([&classify[..], &["wgpu", "--precision", precision]].concat()));
        println!("{precision}: {found} {of:.5}, cpu: {expected} {probability:.5}");
        assert!(found == expected && (of - probability).abs() < tolerance, "{precision}: {found} {of}");
    }
    let message = machine.run([&classify[..], &["wgpu", "--precision", "bf16"]].concat()).failed();
    assert!(message.contains("does not compute in bf16"), "{message}");
}

#[test]
fn the_doctor_names_the_gpu_by_its_number() {
    let Some((_, _alone)) = device() else { return };
    let json = Machine::new().run(["doctor", "--json"]).json();
    let checks = json["checks"].as_array().unwrap().iter();
    let gpus: Vec<&Value> = checks.filter(|check| check["what"].as_str().unwrap().starts_with("wgpu:")).collect();
    assert!(!gpus.is_empty() && gpus[0]["what"] == "wgpu:0", "{json}");
    assert!(gpus.iter().all(|check| check["state"] == "works"), "{json}");
}

#[test]
fn a_gpu_is_chosen_by_its_number() {
    let Some((_, _alone)) = device() else { return };
    let machine = Machine::new();
    let tile = tile(9);
    let classify = ["classify", &tile, "--classes", "dog,boat,tree", "--json", "--device"];
    let expected = best(machine.run([&classify[..], &["wgpu"]].concat()));
    assert_eq!(best(machine.run([&classify[..], &["wgpu:0"]].concat())), expected);
    machine.run([&classify[..], &["wgpu:99"]].concat()).refused_for(&["no GPU 99", "lowshot doctor"]);
    let mut command = machine.command();
    command.env("LOWSHOT_DEVICE", "wgpu:99").args(["demo"]);
    Finished::of(command).refused_for(&["no GPU 99"]);
}

#[test]
fn measurements_of_kernels_are_kept_in_the_programs_cache() {
    let Some((_, _alone)) = device() else { return };
    let kept = &CubeClRuntimeConfig::get().autotune.cache;
    let folder = autotune::folder().unwrap();
    assert!(matches!(kept, CacheConfig::File(place) if *place == folder), "{kept:?}");
}

#[test]
#[ignore = "asks for more memory than there is, which `out_of_memory_is_recognised` lets another process do"]
fn ask_for_too_much() {
    let Some((device, _alone)) = device() else { return };
    fault::watch(|what| println!("a bug: {what}"));
    // Far beyond what any device has, in whatever form it asks for it.
    let ask = || Tensor::<Wgpu, 1>::zeros([1usize << 44], &device).sum().into_data();
    println!("tried: {:?}", fault::trying(ask).map(|_| ()));
}

#[test]
fn out_of_memory_is_recognised() {
    let Some((_, _alone)) = device() else { return };
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact", "gpu_command::ask_for_too_much"]).env_remove("RUST_BACKTRACE");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert!(text.contains("tried: Err(\"its memory does not suffice"), "{text}");
}

#[test]
fn without_a_driver_the_cpu_computes_and_it_is_said_why() {
    let machine = Machine::new();
    let tile = tile(9);
    let run = |device: &str| {
        let mut command = machine.command();
        // What Vulkan's loader looks at first; macOS has its GPU in the system.
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command.args(["classify", &tile, "--classes", "dog,boat,tree", "--json", "--device", device]).output().unwrap()
    };
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let auto = run("auto");
    let answers: Value = serde_json::from_slice(&auto.stdout).unwrap();
    assert_eq!(answers[0]["classes"].as_array().unwrap().len(), 3);
    let note = String::from_utf8(auto.stderr).unwrap();
    assert!(note.contains("no GPU was found") && note.contains("computing on the CPU"), "{note}");
    let asked = run("wgpu");
    let message = String::from_utf8(asked.stderr).unwrap();
    assert_eq!(asked.status.code(), Some(1), "{message}");
    assert!(message.starts_with("lowshot: no GPU was found") && message.lines().count() == 1, "{message}");
}
