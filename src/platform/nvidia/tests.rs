//! Machines that lack one thing or the other: described, and with libraries that a C compiler makes here.

use std::{fs, path::Path, process::Command};

use super::*;

/// A GPU, a driver and an NVRTC that fit together, but for what a test changes.
fn machine(toolkit: &Path) -> Machine {
    let gpu = Gpu { name: "a GPU".into(), capability: Version(9, 0), memory: 80 << 30 };
    let capabilities = vec![Version(7, 5), Version(9, 0), Version(12, 1)];
    let compiler = Compiler { version: Version(13, 1), capabilities };
    Machine {
        driver: Some(Ok(Driver { version: Version(13, 2), gpus: vec![gpu] })),
        compiler: Some(Ok(compiler)),
        toolkit: Some(toolkit.into()),
        trial: Ok(()),
    }
}

/// A folder with every header, of CUDA 13.1.
fn toolkit() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let include = folder.path().join("include");
    for (places, _) in HEADERS {
        let file = include.join(places[0]);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    fs::write(include.join("cuda_runtime_api.h"), "// CUDA\n#define CUDART_VERSION  13010\n").unwrap();
    folder
}

/// What a test changes.
type Change = fn(&mut Machine);

fn driver_of(machine: &mut Machine) -> &mut Driver {
    machine.driver.as_mut().unwrap().as_mut().unwrap()
}

fn compiler_of(machine: &mut Machine) -> &mut Compiler {
    machine.compiler.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn what_is_missing_or_does_not_fit_is_said_with_what_to_do() {
    let toolkit = toolkit();
    assert_eq!(machine(toolkit.path()).gpu(0).unwrap().name, "a GPU");
    let cases: [(Change, &[&str]); 15] = [
        (|m| m.driver = None, &["no NVIDIA driver", "libcuda"]),
        (|m| m.driver = Some(Err("cuInit says 999".into())), &["driver fails", "cuInit says 999"]),
        (|m| driver_of(m).version = Version(11, 8), &["CUDA 11.8", "12.0 is needed", "update"]),
        (|m| driver_of(m).gpus.clear(), &["no GPU", "CUDA_VISIBLE_DEVICES"]),
        (|m| m.compiler = None, &["NVRTC", "cuda-nvrtc", "LD_LIBRARY_PATH"]),
        (|m| m.compiler = Some(Err("it lacks nvrtcVersion".into())), &["NVRTC", "lacks nvrtcVersion"]),
        (|m| driver_of(m).version = Version(12, 9), &["CUDA 12.9", "NVRTC 13.1", "12.9 or older"]),
        (|m| driver_of(m).version = Version(13, 0), &["CUDA 13.0", "NVRTC 13.1", "update the driver"]),
        (|m| m.toolkit = None, &["headers were not found", "CUDA_PATH"]),
        (|m| m.toolkit = Some("/nonexistent".into()), &["/nonexistent", "cuda_runtime.h", "nvidia-cuda-runtime"]),
        (|m| compiler_of(m).version = Version(12, 6), &["NVRTC is of CUDA 12.6", "13.1", "CUDA_PATH"]),
        (|m| driver_of(m).gpus[0].capability = Version(6, 1), &["6.1", "begins at 7.5", "older CUDA"]),
        (|m| driver_of(m).gpus[0].capability = Version(15, 0), &["15.0", "ends at 12.1", "newer CUDA"]),
        (|m| m.trial = Err("no builtins".into()), &["13.1 does not compile", "no builtins", "LD_LIBRARY"]),
        (|m| driver_of(m).gpus[0].capability = Version(7, 0), &["7.0", "begins at 7.5"]),
    ];
    for (change, expected) in cases {
        let mut lacking = machine(toolkit.path());
        change(&mut lacking);
        let Err(Lack::Machine(why)) = lacking.gpu(0) else { panic!("{lacking:?} lacks nothing") };
        assert!(expected.iter().all(|part| why.contains(part)) && !why.contains('\n'), "{why}");
    }
    // Which GPU is asked for is the caller's own mistake.
    let Err(Lack::Index(why)) = machine(toolkit.path()).gpu(3) else { panic!("there is a fourth GPU") };
    assert!(why.contains("GPU 3") && why.contains("has 1"), "{why}");
}

#[test]
fn each_header_is_looked_for() {
    for (places, package) in HEADERS {
        let toolkit = toolkit();
        fs::remove_file(toolkit.path().join("include").join(places[0])).unwrap();
        let Err(Lack::Machine(why)) = machine(toolkit.path()).gpu(0) else { panic!("{places:?} is not missed") };
        assert!(why.contains(places[places.len() - 1]) && why.contains(package), "{why}");
    }
}

/// A library made of a file in tests/cuda; nothing where there is no C compiler.
fn library(source: &str, made: &Path, values: &[&str]) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda").join(source);
    fs::create_dir_all(made.parent().unwrap()).unwrap();
    let done = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(made).arg(source).args(values).status();
    let Ok(status) = done else {
        assert!(std::env::var_os("CI").is_none(), "there is no C compiler ('cc')");
        println!("skipped: there is no C compiler ('cc')");
        return None;
    };
    assert!(status.success(), "cc does not compile it");
    Some(made.into())
}

#[test]
fn a_driver_is_asked_for_its_version_and_gpus() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, code: &str, gpus: &str| {
        library("driver.c", &folder.path().join(name), &["-DVERSION=12040", code, gpus])
    };
    let Some(file) = made("two.so", "-DCODE=0", "-DGPUS=2") else { return };
    // The first name is of no library, as where a system calls it otherwise.
    let found = driver(&[folder.path().join("absent.so"), file]).unwrap().unwrap();
    assert_eq!(found.version, Version(12, 4));
    let gpus: Vec<_> = found.gpus.iter().map(|gpu| (gpu.name.as_str(), gpu.capability, gpu.memory >> 30)).collect();
    assert_eq!(gpus, [("first", Version(8, 6), 16), ("second", Version(8, 6), 32)]);
    let none = driver(&[made("none.so", "-DCODE=100", "-DGPUS=0").unwrap()]).unwrap().unwrap();
    assert!(none.gpus.is_empty());
    let stub = driver(&[made("stub.so", "-DCODE=34", "-DGPUS=0").unwrap()]).unwrap().unwrap_err();
    assert!(stub.contains("cuInit says 34") && stub.contains("stubs"), "{stub}");
    let values = ["-DMAJOR=12", "-DMINOR=8", "-DLOG=\"\""];
    let other = library("nvrtc.c", &folder.path().join("other.so"), &values).unwrap();
    assert!(driver(&[other]).unwrap().unwrap_err().contains("lacks cuDriverGetVersion"));
    assert!(driver(&[folder.path().join("absent.so")]).is_none());
}

#[test]
fn nvrtc_is_asked_for_its_version_and_what_it_compiles_for_and_is_found_in_the_toolkit() {
    let toolkit = tempfile::tempdir().unwrap();
    let file = toolkit.path().join("lib/libnvrtc.so.12");
    let made = |log: &str| library("nvrtc.c", &file, &["-DMAJOR=12", "-DMINOR=8", log]);
    let Some(_) = made("-DLOG=\"\"") else { return };
    // What the system may have itself is left out.
    let places: Vec<PathBuf> = libraries::places(Some(toolkit.path())).split_off(COMPILERS.len());
    let found = compiler(&places).unwrap().unwrap();
    assert_eq!(found.version, Version(12, 8));
    assert_eq!(found.capabilities, [Version(5, 0), Version(9, 0), Version(10, 0)]);
    assert_eq!(libraries::trial(&places, toolkit.path(), Version(8, 6)), Ok(()));
    // Another file, because what was opened once stays open.
    let broken = tempfile::tempdir().unwrap();
    let file = broken.path().join("libnvrtc-broken.so");
    library("nvrtc.c", &file, &["-DMAJOR=12", "-DMINOR=8", "-DLOG=\"\\nno builtins\\nat all\""]).unwrap();
    assert_eq!(libraries::trial(&[file], toolkit.path(), Version(8, 6)), Err("no builtins".to_owned()));
}
