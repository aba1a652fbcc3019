//! What libraries log goes to the browser's console: a shader that WebGPU refuses is only logged, never an error.

use log::{Level, LevelFilter, Log, Metadata, Record};
use wasm_bindgen::JsValue;
use web_sys::console;

struct Console;

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = JsValue::from_str(&format!("{}: {}", record.target(), record.args()));
        match record.level() {
            Level::Error => console::error_1(&line),
            _ => console::warn_1(&line),
        }
    }

    fn flush(&self) {}
}

/// Begins to pass on warnings and errors.
pub fn listen() {
    // It is refused where somebody listens already, who is as good.
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
