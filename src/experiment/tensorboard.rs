//! Training curves for `TensorBoard`: an event file beside a run's other files.
//!
//! The file is a sequence of `TFRecord`s (length, its checksum, data, its checksum; all little-endian), each of which holds
//! one `Event` of `TensorFlow`'s protocol buffers (`event.proto`, `summary.proto`). Only what a scalar needs is written.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Event, Observer, result::RunResult};
use crate::{Error, Result, platform::native};

/// Writes what happens in a run into an event file of its own, while it happens.
///
/// A run that is taken up again writes another file into the same folder; `TensorBoard` shows them as one.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    step: usize,
    /// The first thing that went wrong; an observer cannot return it.
    failure: Option<std::io::Error>,
}

impl Writer {
    /// Begins an event file in a run's folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        native::create_folder(folder)?;
        let seconds = now();
        // TensorBoard looks for this name, and reads the files of a folder in the order of the time in it.
        let name =
            format!("events.out.tfevents.{:010}.lowshot.{}.{}", seconds as u64, std::process::id(), nanoseconds());
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(|source| Error::write(&path, source))?;
        let mut writer = Self { path, file: BufWriter::new(file), step: 0, failure: None };
        writer.record(&version(seconds));
        writer.flush();
        Ok(writer)
    }

    /// Adds the accuracies of the test, at the last step, and ends the file.
    ///
    /// # Errors
    /// Something could not be written, now or earlier.
    pub fn finish(mut self, result: &RunResult) -> Result<()> {
        let mut values =
            vec![("test/top1", result.top1), ("test/top5", result.top5), ("test/macro", result.macro_accuracy)];
        if let Some(moved) = &result.generalisation {
            values.extend([("test/novel", moved.novel), ("test/harmonic_mean", moved.harmonic_mean)]);
        }
        let values: Vec<(&str, f32)> = values.into_iter().map(|(tag, value)| (tag, value as f32)).collect();
        self.record(&scalars(now(), self.step as i64, &values));
        self.flush();
        self.failure.map_or(Ok(()), |source| Err(Error::write(self.path, source)))
    }

    fn record(&mut self, event: &[u8]) {
        let written = self.file.write_all(&frame(event));
        self.failure = self.failure.take().or(written.err());
    }

    fn flush(&mut self) {
        let flushed = self.file.flush();
        self.failure = self.failure.take().or(flushed.err());
    }
}

impl Observer for Writer {
    fn observe(&mut self, event: &Event) {
        let Event::Step(step) = event else { return };
        self.step = step.step;
        let mut values = vec![("train/loss", step.loss)];
        values.extend(step.learning_rate.map(|rate| ("train/learning_rate", rate as f32)));
        self.record(&scalars(now(), step.step as i64, &values));
        // Often enough for a live curve, not for each of a thousand quick steps.
        if step.step.is_multiple_of(10) || step.step == step.steps {
            self.flush();
        }
    }
}

/// The first event of a file: `Event { wall_time, file_version }`, without a frame. `wall_time` is in seconds since 1970.
pub fn version(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    double(1, wall_time, &mut event);
    bytes(3, b"brain.Event:2", &mut event);
    event
}

/// `Event { wall_time, step, summary { value { tag, simple_value } … } }`, without a frame. `wall_time` is in seconds since
/// 1970.
pub fn scalars(wall_time: f64, step: i64, values: &[(&str, f32)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in values {
        let mut value = Vec::new();
        bytes(1, tag.as_bytes(), &mut value);
        key(2, 5, &mut value);
        value.extend(number.to_le_bytes());
        bytes(1, &value, &mut summary);
    }
    let mut event = Vec::new();
    double(1, wall_time, &mut event);
    // As protocol buffers do, zero is what is not there.
    if step != 0 {
        key(2, 0, &mut event);
        varint(step as u64, &mut event);
    }
    bytes(5, &summary, &mut event);
    event
}

/// A record with its length and checksums.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// CRC-32C, rotated and shifted as `TFRecord` does, because a checksum over data with checksums in it would be weak.
fn masked(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// A field's number and its wire type: 0 a varint, 1 eight bytes, 2 bytes with their length, 5 four bytes.
fn key(field: u64, wire: u64, out: &mut Vec<u8>) {
    varint(field << 3 | wire, out);
}

fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    key(field, 1, out);
    out.extend(value.to_le_bytes());
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    key(field, 2, out);
    varint(value.len() as u64, out);
    out.extend(value);
}

/// Seven bits a byte, the low ones first; the high bit says that there are more.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// What tells two files of the same second apart.
fn nanoseconds() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos())
}
