//! Panics, which are either a GPU that has run out of memory or is lost (CubeCL tells by a panic on a thread of its own, and all that
//! follows fails too), or a bug. The first kind is told with what to do, the second with its place.

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a GPU has died of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its memory does not suffice; how many bytes were asked for at once, where that is known.
    Memory(Option<u64>),
    /// It does not answer any more: reset by its driver, taken away.
    Lost,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(Some(bytes)) => {
                write!(f, "its memory does not suffice ({} MiB more were wanted)", bytes >> 20)
            }
            Self::Memory(None) => f.write_str("its memory does not suffice"),
            Self::Lost => f.write_str("it does not answer any more"),
        }
    }
}

/// What has happened, on any thread.
struct Seen {
    /// The first fault: others follow of it.
    fault: Option<Fault>,
    /// Whether something is being tried.
    trying: bool,
    /// The first panic's message meanwhile: the one that reaches the trying thread may only follow of it.
    tried: Option<String>,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen { fault: None, trying: false, tried: None });

fn seen() -> MutexGuard<'static, Seen> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How CubeCL, wgpu and CUDA say that there is no memory (their messages in cubecl 0.10, wgpu 29 and cudarc 0.19).
const NO_MEMORY: [&str; 6] = [
    "can't allocate buffer of size",
    "out-of-memory error",
    "Out of Memory",
    "Not enough memory left",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUDA allocation error",
];

/// How they say that the GPU is gone.
const LOST: [&str; 5] =
    ["device is lost", "Device is lost", "DeviceLost", "CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_DEVICE_UNAVAILABLE"];

/// What a message tells of, if of a fault.
pub fn recognise(message: &str) -> Option<Fault> {
    if NO_MEMORY.iter().any(|sign| message.contains(sign)) {
        let size = message.split_once("buffer of size: ").and_then(|(_, rest)| {
            let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        });
        return Some(Fault::Memory(size));
    }
    LOST.iter().any(|sign| message.contains(sign)).then_some(Fault::Lost)
}

/// Has panics told by `tell`, a line each, unless they are a [`Fault`], which is kept for [`first`]. With `RUST_BACKTRACE` they are
/// also told as Rust does.
pub fn watch(tell: fn(&str)) {
    let usual = panic::take_hook();
    let loud = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    seen().fault = None;
    panic::set_hook(Box::new(move |info| {
        if loud {
            usual(info);
        }
        let message = message(info.payload());
        let mut seen = seen();
        let before = seen.fault.is_some();
        if let Some(fault) = recognise(&message) {
            seen.fault.get_or_insert(fault);
        } else if seen.trying {
            seen.tried.get_or_insert(one_line(&message));
        } else if !before {
            let place =
                info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
            tell(&format!("{}{place}", one_line(&message)));
        }
    }));
}

/// The first fault since [`watch`], but for what was [tried](trying).
pub fn first() -> Option<Fault> {
    seen().fault
}

/// Tries what may panic, quietly and without a trace.
///
/// # Errors
/// What it panics of.
pub fn trying<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    seen().trying = true;
    let result = panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| one_line(&message(payload.as_ref())));
    let (fault, tried) = {
        let mut seen = seen();
        seen.trying = false;
        (seen.fault.take(), seen.tried.take())
    };
    match (fault, result) {
        (Some(fault), _) => Err(fault.to_string()),
        (None, Ok(found)) => Ok(found),
        (None, Err(last)) => Err(tried.unwrap_or(last)),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// Messages may go on with a source or a backtrace.
fn one_line(message: &str) -> String {
    message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_cubecl_wgpu_and_cuda_are_recognised() {
        let cases = [
            (
                "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 8589934592\n   0: cubecl",
                Some(Fault::Memory(Some(8_589_934_592))),
            ),
            ("wgpu error: Out of Memory\n\nCaused by:\n  In Device::create_buffer", Some(Fault::Memory(None))),
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", Some(Fault::Memory(None))),
            ("An out-of-memory error happened during launch\nCaused by:\n  8 GB", Some(Fault::Memory(None))),
            ("wgpu error: Validation Error\n\nCaused by:\n  Parent device is lost", Some(Fault::Lost)),
            ("index out of bounds: the len is 3 but the index is 3", None),
        ];
        for (message, expected) in cases {
            assert_eq!(recognise(message), expected, "{message}");
        }
    }
}
