//! What the times were measured on: without it a time says nothing.

use std::{fs, time::SystemTime};

use serde::Serialize;

/// A machine, as far as the system tells.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: Option<String>,
    /// Those of the processor's instruction sets that products and pixels are computed with.
    pub instructions: Vec<String>,
    /// Processors that this process may use.
    pub cores: usize,
    /// All memory.
    pub memory_mib: Option<u64>,
    /// How many tasks waited for a processor in the last minute on average: above 0 this machine was doing something else too.
    pub load: Option<f64>,
    /// Architecture and operating system.
    pub system: String,
    /// When this was asked, in UTC, as `2026-01-31T12:00:00Z`.
    pub date: String,
}

/// As Linux calls them.
const INSTRUCTIONS: [&str; 13] = [
    "sse4_1",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "i8mm",
    "bf16",
];

impl Machine {
    /// This machine now.
    pub fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = text("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            fields.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        let known = field(&processors, "flags").or_else(|| field(&processors, "Features")).unwrap_or_default();
        let known: Vec<&str> = known.split_whitespace().collect();
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        Self {
            processor: field(&processors, "model name"),
            instructions: INSTRUCTIONS.into_iter().filter(|name| known.contains(name)).map(str::to_owned).collect(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.and_then(|memory| Some(memory.split_whitespace().next()?.parse::<u64>().ok()? / 1024)),
            load: text("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok()),
            system: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            date: utc(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())),
        }
    }
}

/// From now on [`peak_memory_mib`] counts from what this process holds now; whether the system can do that.
pub fn forget_peak_memory() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The largest resident size of this process in MiB, where the system tells it.
pub fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds since 1970 as date and time.
fn utc(seconds: u64) -> String {
    // Hinnant's `civil_from_days`: years begin in March, so that a leap day is a year's last.
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = 400 * era + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `date -u -d @SECONDS +%FT%TZ`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
