//! The inputs that everything else is made of: `fuzz/corpus/<target>/`, where cargo-fuzz looks for them too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::seeds;

fn dir(target: &str) -> PathBuf {
    Path::new("fuzz/corpus").join(target)
}

/// The corpus of a target, by name.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir(target)).unwrap_or_else(|error| panic!("the corpus of {target}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("an input")).collect()
}

/// Writes the corpora anew: what is valid, by what this repository knows to be valid. What was found by fuzzing and kept
/// has a name of its own and stays.
#[test]
#[ignore = "it writes into the repository"]
fn write_corpora() {
    for (target, inputs) in seeds::all() {
        fs::create_dir_all(dir(target)).expect("a directory");
        for (n, input) in inputs.iter().enumerate() {
            fs::write(dir(target).join(format!("valid-{n:03}")), input).expect("written");
        }
    }
}
