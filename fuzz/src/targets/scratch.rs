//! Files for what takes nothing but paths.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
};

/// A directory that goes with this value. Each target has one at a time, in each process.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(target: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ottla-fuzz-{}-{target}", process::id())))
    }

    /// A file that nobody but its owner can open.
    pub(super) fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is in the directory")).expect("a directory");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).expect("a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Where nothing was written, there is nothing to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}
