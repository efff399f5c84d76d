//! What figures are worth nothing without: where they were measured.

use std::{fs, path::Path, thread};

/// Processor, cores, memory, kernel and the file system of `directory`, in a line.
pub(crate) fn description(directory: &Path) -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| kibibytes(&text)).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (kernel, memory) = (kernel.trim(), memory as f64 / (1 << 20) as f64);
    format!("{processor}, {cores} cores, {memory:.1} GiB, Linux {kernel}, {}", file_system(directory))
}

/// The value behind `name` and a colon.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// As in "123 kB".
fn kibibytes(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    kibibytes(&field(&format!("/proc/{pid}/status"), "VmRSS")?).map(|kibibytes| kibibytes << 10)
}

/// The type of the file system that `directory` is on: that of the longest mount point above it.
fn file_system(directory: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| directory.starts_with(point));
    // Of two mounts at one point the later one is seen; `max_by_key` takes the last.
    above.max_by_key(|(point, _)| point.len()).map_or_else(|| "unknown file system".to_owned(), |(_, ty)| ty.to_owned())
}
