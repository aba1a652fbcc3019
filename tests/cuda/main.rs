//! The program with CUDA: on machines that lack something of it, where it starts, says so in a line, and works on the processor; and what
//! it computes, on a GPU or on one that is emulated.
//!
//! Drivers and an NVRTC are made here, by a C compiler; without one the tests say that they are skipped.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod computing;
mod emulated;
mod hollow;
#[path = "../support/mod.rs"]
mod support;

use command::{Machine, tile};
use serde_json::Value;

/// A library made of a C file beside this one, and of the C++ files of `folder` with it; nothing where there is no compiler.
fn library(source: &str, folder: Option<&str>, made: &Path, values: &[(&str, u32)]) -> Option<()> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cuda");
    fs::create_dir_all(made.parent().unwrap()).unwrap();
    let compiler = if folder.is_some() { "c++" } else { "cc" };
    let name = format!("-Wl,-soname,{}", made.file_name().unwrap().to_str().unwrap());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O2", &name, "-DLOG=\"\"", "-o"]).arg(made);
    command.args(values.iter().map(|(name, value)| format!("-D{name}={value}")));
    command.args(["-x", "c"]).arg(here.join(source));
    if let Some(folder) = folder {
        let files = fs::read_dir(here.join(folder)).unwrap().map(|file| file.unwrap().path());
        command
            // All at once, for this machine; but a product and a sum are two roundings where a program says so.
            .args([
                "-std=c++17",
                "-O3",
                "-flto",
                "-march=native",
                "-fno-semantic-interposition",
                "-ffp-contract=off",
                "-pthread",
                "-x",
                "c++",
            ])
            .args(files.filter(|file| file.extension().is_some_and(|of| of == "cpp")));
    }
    let Ok(status) = command.status() else {
        assert!(std::env::var_os("CI").is_none(), "there is no compiler '{compiler}'");
        println!("skipped: there is no compiler '{compiler}'");
        return None;
    };
    assert!(status.success(), "{compiler} does not compile it");
    Some(())
}

/// A machine whose loader finds a driver and an NVRTC that say these values first.
struct Fake {
    machine: Machine,
}

impl Fake {
    fn new(driver: &[(&str, u32)], compiler: Option<(u32, u32)>) -> Option<Self> {
        let machine = Machine::new();
        library("driver.c", None, &machine.path("lib/libcuda.so.1"), driver)?;
        fs::copy(machine.path("lib/libcuda.so.1"), machine.path("lib/libcuda.so")).unwrap();
        if let Some((major, minor)) = compiler {
            library("nvrtc.c", None, &machine.path("lib/libnvrtc.so"), &[("MAJOR", major), ("MINOR", minor)])?;
        }
        // Headers of CUDA 13.1: that they exist is all that is looked at before a kernel is compiled.
        for header in ["cuda_runtime.h", "cuda_fp16.h", "mma.h", "crt/mma.h", "cccl/cuda/barrier"] {
            let file = machine.path("toolkit/include").join(header);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::write(machine.path("toolkit/include/cuda_runtime_api.h"), "#define CUDART_VERSION 13010\n").unwrap();
        Some(Self { machine })
    }

    /// The exit code, what is on stdout and what is on stderr.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.machine.command();
        command.env("LD_LIBRARY_PATH", self.machine.path("lib")).env("CUDA_PATH", self.machine.path("toolkit"));
        let done = command.args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }
}

#[test]
fn whatever_is_wrong_with_the_driver_is_a_line_and_the_processor_computes() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let good = [("VERSION", 13020), ("CODE", 0), ("GPUS", 2)];
    let with = |name: &str, value| good.map(|(known, usual)| (known, if known == name { value } else { usual }));
    let cases = [
        (with("VERSION", 11080), Some((13, 1)), "is for CUDA 11.8, 12.0 is needed: update the driver"),
        (with("CODE", 803), Some((13, 1)), "cuInit says 803"),
        (with("CODE", 34), Some((13, 1)), "stub"),
        (with("CODE", 100), Some((13, 1)), "has no GPU"),
        (with("GPUS", 0), Some((13, 1)), "has no GPU"),
        (with("VERSION", 12040), Some((13, 1)), "for CUDA 12.4, too old for NVRTC 13.1"),
        (good, Some((12, 8)), "NVRTC is of CUDA 12.8"),
    ];
    let tile = tile(9);
    let classify = |device| ["classify", &tile, "--classes", "dog,boat,tree", "--json", "--device", device];
    for (driver, compiler, expected) in cases {
        let Some(fake) = Fake::new(&driver, compiler) else { return };
        let (code, stdout, stderr) = fake.run(&classify("auto"));
        assert_eq!(code, Some(0), "{stderr}");
        let answers: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(answers[0]["classes"].as_array().unwrap().len(), 3);
        assert!(stderr.contains(expected) && stderr.contains("computing on the CPU"), "{stderr}");
        let (code, _, stderr) = fake.run(&classify("cuda"));
        println!("{}", stderr.trim());
        assert!(code == Some(1) && stderr.contains(expected) && stderr.lines().count() == 1, "{code:?} {stderr}");
        let (_, stdout, _) = fake.run(&["doctor"]);
        assert!(stdout.contains(expected), "{stdout}");
    }
}

#[test]
fn a_gpu_that_does_not_exist_is_the_users_mistake() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let Some(fake) = Fake::new(&[("VERSION", 13020), ("CODE", 0), ("GPUS", 2)], Some((13, 1))) else { return };
    let tile = tile(9);
    let (code, _, stderr) = fake.run(&["classify", &tile, "--classes", "dog,boat", "--device", "cuda:2"]);
    assert!(code == Some(2) && stderr.contains("no NVIDIA GPU 2") && stderr.contains("has 2"), "{stderr}");
}

#[test]
fn a_driver_that_cannot_what_it_promises_is_a_line() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    // It answers all that is asked beforehand, and has no function to compute with.
    let Some(fake) = Fake::new(&[("VERSION", 13020), ("CODE", 0), ("GPUS", 2)], Some((13, 1))) else { return };
    let tile = tile(9);
    let (code, _, stderr) = fake.run(&["classify", &tile, "--classes", "dog,boat", "--device", "cuda:1"]);
    println!("{}", stderr.trim());
    assert!(code == Some(1) && stderr.contains("second is not used") && stderr.lines().count() == 1, "{stderr}");
    let (code, stdout, _) = fake.run(&["doctor"]);
    assert!(code == Some(1) && stdout.contains("cuda:0") && stdout.contains("cuda:1"), "{stdout}");
    assert!(stdout.contains("second (compute capability 8.6, 32 GiB), driver for CUDA 13.2, NVRTC 13.1"), "{stdout}");
}
