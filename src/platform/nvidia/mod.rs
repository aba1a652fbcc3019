//! What CUDA needs on a machine: a driver, a GPU, NVRTC (kernels are compiled while the program runs) and the headers that kernels
//! include. What is there is looked for first and judged afterwards, so that every lack has a line that says what to do.

mod libraries;
#[cfg(test)]
mod tests;

use std::{
    ffi::c_int,
    fmt, fs,
    path::{Path, PathBuf},
};

pub use libraries::{COMPILERS, DRIVERS, compiler, driver, trial};

/// A version, or a GPU's compute capability: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub c_int, pub c_int);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What the driver says of itself.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The newest CUDA that it can run.
    pub version: Version,
    /// Its GPUs in its own order, which `CUDA_VISIBLE_DEVICES` can change.
    pub gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// What the driver calls it.
    pub name: String,
    /// Its compute capability.
    pub capability: Version,
    /// Its memory in bytes.
    pub memory: u64,
}

/// What NVRTC, the run-time compiler, says of itself.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The CUDA that it belongs to.
    pub version: Version,
    /// The compute capabilities that it compiles for, in ascending order.
    pub capabilities: Vec<Version>,
}

/// What is there of all that CUDA needs.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The driver; none where its library is not found, and why where it fails.
    pub driver: Option<Result<Driver, String>>,
    /// NVRTC, likewise.
    pub compiler: Option<Result<Compiler, String>>,
    /// The folder whose `include` has the headers.
    pub toolkit: Option<PathBuf>,
    /// Whether NVRTC compiles a kernel with the headers, which is tried where nothing is missing; what it says where it does not.
    pub trial: Result<(), String>,
}

/// The oldest driver that CubeCL's calls are answered by.
const OLDEST: c_int = 12;

/// Headers that kernels include, below `include` and wherever a version of CUDA has them, and the package (NVIDIA's, and PyPI's)
/// that they are in.
const HEADERS: [(&[&str], &str); 5] = [
    (&["cuda_runtime.h"], "cuda-cudart-dev (pip: nvidia-cuda-runtime)"),
    (&["cuda_fp16.h"], "cuda-cudart-dev (pip: nvidia-cuda-runtime)"),
    (&["mma.h"], "cuda-cudart-dev (pip: nvidia-cuda-runtime)"),
    (&["crt/mma.h"], "cuda-crt, in CUDA 12 cuda-nvcc (pip: nvidia-cuda-crt)"),
    (&["cccl/cuda/barrier", "cuda/barrier"], "cuda-cccl (pip: nvidia-cuda-cccl)"),
];

impl Machine {
    /// Looks for everything.
    pub fn look() -> Self {
        let (toolkit, driver) = (toolkit(), driver(&DRIVERS.map(PathBuf::from)));
        let places = libraries::places(toolkit.as_deref());
        let mut machine = Self { driver, compiler: compiler(&places), toolkit, trial: Ok(()) };
        let first = machine.gpu(0).map(|gpu| gpu.capability);
        if let (Ok(capability), Some(toolkit)) = (first, &machine.toolkit) {
            machine.trial = trial(&places, toolkit, capability);
        }
        machine
    }

    /// The GPU `index`, if all that it needs is there.
    ///
    /// # Errors
    /// What is missing or does not fit together, and what to do.
    pub fn gpu(&self, index: usize) -> Result<&Gpu, Lack> {
        let driver = self.driver()?;
        let compiler = self.compiler(driver)?;
        self.headers(compiler)?;
        let count = driver.gpus.len();
        let gpu = driver.gpus.get(index).ok_or_else(|| Lack::Index(format!(
            "there is no NVIDIA GPU {index}: the driver has {count}, and the first has number 0 ('lowshot doctor' lists them)"
        )))?;
        fits(gpu, compiler)?;
        if let Err(why) = &self.trial {
            let how = "are NVRTC and the headers of one CUDA, and its folder 'lib64' in LD_LIBRARY_PATH?";
            return Err(Lack::Machine(format!("NVRTC {} does not compile ({why}): {how}", compiler.version)));
        }
        Ok(gpu)
    }

    fn driver(&self) -> Result<&Driver, String> {
        let driver = match &self.driver {
            None => return Err("no NVIDIA driver was found (libcuda.so.1)".into()),
            Some(Err(why)) => return Err(format!("the NVIDIA driver fails: {why}")),
            Some(Ok(driver)) => driver,
        };
        if driver.version.0 < OLDEST {
            let version = driver.version;
            return Err(format!("the NVIDIA driver is for CUDA {version}, {OLDEST}.0 is needed: update the driver"));
        }
        if driver.gpus.is_empty() {
            return Err("the NVIDIA driver has no GPU (does CUDA_VISIBLE_DEVICES hide it?)".into());
        }
        Ok(driver)
    }

    fn compiler(&self, driver: &Driver) -> Result<&Compiler, String> {
        let how = "install CUDA's package cuda-nvrtc (pip: nvidia-cuda-nvrtc) and say where it is in LD_LIBRARY_PATH";
        let compiler = match &self.compiler {
            None => return Err(format!("NVRTC, CUDA's run-time compiler, was not found: {how}")),
            Some(Err(why)) => return Err(format!("NVRTC, CUDA's run-time compiler, fails: {why}")),
            Some(Ok(compiler)) => compiler,
        };
        let (newest, version) = (driver.version, compiler.version);
        // A driver refuses machine code of a newer CUDA's kind (CUDA_ERROR_UNSUPPORTED_PTX_VERSION).
        if version > newest {
            let how = format!("update the driver, or put an NVRTC of CUDA {newest} or older first in LD_LIBRARY_PATH");
            return Err(format!("the NVIDIA driver is for CUDA {newest}, too old for NVRTC {version}: {how}"));
        }
        Ok(compiler)
    }

    fn headers(&self, compiler: &Compiler) -> Result<(), String> {
        let how = "say in CUDA_PATH where the folder 'include' is";
        let Some(toolkit) = &self.toolkit else {
            return Err(format!("CUDA's headers were not found: install {}, or {how}", HEADERS[0].1));
        };
        let include = toolkit.join("include");
        for (places, package) in HEADERS {
            if !places.iter().any(|file| include.join(file).exists()) {
                let (folder, file) = (include.display(), places[places.len() - 1]);
                return Err(format!("{folder} lacks CUDA's header {file}: install {package}, or {how}"));
            }
        }
        match of_headers(&include) {
            Some(version) if version.0 != compiler.version.0 => Err(format!(
                "NVRTC is of CUDA {} and the headers in {} are of {version}: {how} of the same CUDA is",
                compiler.version,
                include.display()
            )),
            _ => Ok(()),
        }
    }
}

/// Why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The GPU that was asked for does not exist.
    Index(String),
    /// The machine lacks something.
    Machine(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Index(why) | Self::Machine(why)) = self;
        f.write_str(why)
    }
}

impl From<String> for Lack {
    fn from(why: String) -> Self {
        Self::Machine(why)
    }
}

/// Whether NVRTC compiles for this GPU.
fn fits(gpu: &Gpu, compiler: &Compiler) -> Result<(), String> {
    let Gpu { name, capability, .. } = gpu;
    let version = compiler.version;
    match (compiler.capabilities.first(), compiler.capabilities.last()) {
        (Some(oldest), _) if capability < oldest => Err(format!(
            "{name} has compute capability {capability}, and NVRTC {version} begins at {oldest}: use an older CUDA"
        )),
        (_, Some(newest)) if capability > newest => Err(format!(
            "{name} has compute capability {capability}, and NVRTC {version} ends at {newest}: use a newer CUDA"
        )),
        _ => Ok(()),
    }
}

/// Where CubeCL will look for the headers.
fn toolkit() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CUDA_PATH") {
        return Some(path.into());
    }
    let usual = ["/usr/local/cuda", "/opt/cuda", "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA/"];
    let of_system = || Path::new("/usr/bin/nvcc").exists().then(|| PathBuf::from("/usr"));
    usual.into_iter().map(PathBuf::from).find(|path| path.exists()).or_else(of_system)
}

/// The CUDA that headers are of.
fn of_headers(include: &Path) -> Option<Version> {
    let text = fs::read_to_string(include.join("cuda_runtime_api.h")).ok()?;
    let line = text.lines().find(|line| line.starts_with("#define CUDART_VERSION"))?;
    let number: c_int = line.split_whitespace().nth(2)?.parse().ok()?;
    Some(Version(number / 1000, number % 1000 / 10))
}
