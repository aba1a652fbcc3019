//! NVIDIA's libraries, asked what they are. Opened at run time, so that the program starts where they are absent.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    fs,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    ptr,
};

use libloading::{Library, Symbol};

use super::{Compiler, Driver, Gpu, Version};

/// Names of the driver's library, by system.
pub const DRIVERS: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

/// Names of NVRTC, in the order in which CubeCL's library (cudarc) tries them.
pub const COMPILERS: [&str; 6] =
    ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "libnvrtc.dylib"];

/// Where NVRTC may be: where the system finds libraries, and in the toolkit. What was opened from there is what its name gives
/// from then on, so that CubeCL finds it too.
pub fn places(toolkit: Option<&Path>) -> Vec<PathBuf> {
    let names = COMPILERS.map(PathBuf::from).into_iter();
    let of_toolkit = toolkit.into_iter().flat_map(|toolkit| {
        ["lib64", "lib"].into_iter().flat_map(move |folder| COMPILERS.map(|name| toolkit.join(folder).join(name)))
    });
    names.chain(of_toolkit).collect()
}

/// Asks the first driver's library that opens; none if none does.
pub fn driver(places: &[PathBuf]) -> Option<Result<Driver, String>> {
    open(places).map(|library| ask_driver(&library))
}

/// Asks the first NVRTC that opens; none if none does.
pub fn compiler(places: &[PathBuf]) -> Option<Result<Compiler, String>> {
    open(places).map(|library| ask_compiler(&library))
}

/// Has the first NVRTC that opens compile a kernel with a toolkit's headers, for GPUs of this compute capability.
///
/// # Errors
/// What it says.
pub fn trial(places: &[PathBuf], toolkit: &Path, capability: Version) -> Result<(), String> {
    open(places).map_or(Ok(()), |library| compile(&library, toolkit, capability))
}

/// Opens the first that is there, and keeps it: CubeCL uses the same one.
fn open(places: &[PathBuf]) -> Option<ManuallyDrop<Library>> {
    places.iter().find_map(|place| {
        // SAFETY: these are NVIDIA's libraries, whose initialisers may run at any time.
        let library = unsafe { Library::new(place) }.ok()?;
        keep_builtins(place.parent()?);
        Some(ManuallyDrop::new(library))
    })
}

/// NVRTC opens a library of its own by its name when it first compiles, and some versions do not look beside themselves.
fn keep_builtins(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files.filter(|file| file.file_name().to_string_lossy().starts_with("libnvrtc-builtins.so")) {
        // SAFETY: as in `open`. One that does not open will be missed by the kernel that is compiled next.
        let _ = unsafe { Library::new(file.path()) }.map(ManuallyDrop::new);
    }
}

/// A function of a library, or that it is missing.
///
/// # Safety
/// The function must be of type `F`.
unsafe fn function<'a, F>(library: &'a Library, name: &str) -> Result<Symbol<'a, F>, String> {
    // SAFETY: as the caller says.
    unsafe { library.get(name.as_bytes()) }.map_err(|_| format!("it lacks {name}"))
}

/// `CUDA_ERROR_NO_DEVICE`, which the number of devices will say.
const NO_DEVICE: c_int = 100;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// CUDA's driver API: "Initialization", "Version Management", "Device Management".
fn ask_driver(library: &Library) -> Result<Driver, String> {
    type Start = unsafe extern "C" fn(c_uint) -> c_int;
    type Number = unsafe extern "C" fn(*mut c_int) -> c_int;
    let number = |name: &str| {
        let mut found = 0;
        // SAFETY: both functions that are asked for have this type.
        let code = unsafe { function::<Number>(library, name)?(&raw mut found) };
        done(name, code).map(|()| found)
    };
    let version = number("cuDriverGetVersion")?;
    let version = Version(version / 1000, version % 1000 / 10);
    // SAFETY: the function has this type; its only argument must be 0.
    let code = unsafe { function::<Start>(library, "cuInit")?(0) };
    if code == NO_DEVICE {
        return Ok(Driver { version, gpus: Vec::new() });
    }
    done("cuInit", code)?;
    let gpus = (0..number("cuDeviceGetCount")?).map(|index| ask_gpu(library, index)).collect::<Result<_, _>>()?;
    Ok(Driver { version, gpus })
}

fn ask_gpu(library: &Library, index: c_int) -> Result<Gpu, String> {
    type Handle = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
    type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
    let (mut handle, mut name, mut memory, mut capability) = (0, [0; 256], 0, [0; 2]);
    // SAFETY: the functions have these types, and write a number each, and at most as many characters as they are told, with a zero.
    unsafe {
        done("cuDeviceGet", function::<Handle>(library, "cuDeviceGet")?(&raw mut handle, index))?;
        let ask = function::<Name>(library, "cuDeviceGetName")?;
        done("cuDeviceGetName", ask(name.as_mut_ptr(), name.len() as c_int - 1, handle))?;
        let ask = function::<Memory>(library, "cuDeviceTotalMem_v2")?;
        done("cuDeviceTotalMem", ask(&raw mut memory, handle))?;
        let ask = function::<Attribute>(library, "cuDeviceGetAttribute")?;
        for (value, attribute) in capability.iter_mut().zip(CAPABILITY) {
            done("cuDeviceGetAttribute", ask(value, attribute, handle))?;
        }
    }
    // SAFETY: there are zeros to the end of what was not written.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(Gpu { name, capability: Version(capability[0], capability[1]), memory: memory as u64 })
}

/// NVRTC's "General Information Query".
fn ask_compiler(library: &Library) -> Result<Compiler, String> {
    type Pair = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
    type Numbers = unsafe extern "C" fn(*mut c_int) -> c_int;
    let (mut major, mut minor, mut count) = (0, 0, 0);
    // SAFETY: the functions have these types; the last writes as many numbers as the one before says.
    let numbers = unsafe {
        done("nvrtcVersion", function::<Pair>(library, "nvrtcVersion")?(&raw mut major, &raw mut minor))?;
        let ask = function::<Numbers>(library, "nvrtcGetNumSupportedArchs")?;
        done("nvrtcGetNumSupportedArchs", ask(&raw mut count))?;
        let mut numbers = vec![0; count.max(0) as usize];
        let ask = function::<Numbers>(library, "nvrtcGetSupportedArchs")?;
        done("nvrtcGetSupportedArchs", ask(numbers.as_mut_ptr()))?;
        numbers
    };
    let mut capabilities: Vec<Version> = numbers.into_iter().map(|number| Version(number / 10, number % 10)).collect();
    capabilities.sort_unstable();
    Ok(Compiler { version: Version(major, minor), capabilities })
}

/// What kernels include at most but for what only some GPUs have.
const KERNEL: &CStr = c"#include <cuda_runtime.h>
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include <mma.h>
extern \"C\" __global__ void nothing() {}
";

/// NVRTC's "Compilation": a kernel that does nothing, as CubeCL compiles its own.
fn compile(library: &Library, toolkit: &Path, capability: Version) -> Result<(), String> {
    type Create = unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int;
    type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
    type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
    type Text = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
    type Destroy = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
    let include = toolkit.join("include");
    let options = [
        format!("--gpu-architecture=compute_{}{}", capability.0, capability.1),
        format!("--include-path={}", include.display()),
        format!("--include-path={}", include.join("cccl").display()),
    ];
    let options = options.map(|option| CString::new(option).unwrap_or_default());
    let options = options.each_ref().map(|option| option.as_ptr());
    let (mut program, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the functions have these types; all strings live until the last call, and the log gets as much room as it asks for.
    unsafe {
        let create = function::<Create>(library, "nvrtcCreateProgram")?;
        let code = create(&raw mut program, KERNEL.as_ptr(), ptr::null(), 0, ptr::null(), ptr::null());
        done("nvrtcCreateProgram", code)?;
        let code = function::<Compile>(library, "nvrtcCompileProgram")?(program, 3, options.as_ptr());
        done("nvrtcGetProgramLogSize", function::<Size>(library, "nvrtcGetProgramLogSize")?(program, &raw mut size))?;
        let mut log = vec![0u8; size + 1];
        done("nvrtcGetProgramLog", function::<Text>(library, "nvrtcGetProgramLog")?(program, log.as_mut_ptr().cast()))?;
        function::<Destroy>(library, "nvrtcDestroyProgram")?(&raw mut program);
        let log = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
        let first = log.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        if code == 0 { Ok(()) } else { Err(first.trim().to_owned()) }
    }
}

/// What a result's code means, for the ones that have an advice (cuda.h, `CUresult`).
fn done(name: &str, code: c_int) -> Result<(), String> {
    let advice = match code {
        0 => return Ok(()),
        2 => "out of memory: another program may hold it",
        34 => "this is the toolkit's stub and not a driver: take its folder 'stubs' out of LD_LIBRARY_PATH",
        46 => "the GPU is busy or in exclusive use: see 'nvidia-smi'",
        101 => "there is no such GPU",
        802 => "the system is not ready: is NVIDIA's fabric manager running?",
        803 => "the driver and its library are of different versions: restart the machine after an update",
        804 => "this GPU cannot run a newer CUDA than its driver's: take 'compat' out of LD_LIBRARY_PATH",
        _ => "see 'nvidia-smi'",
    };
    Err(format!("{name} says {code} ({advice})"))
}
