//! What `docs/security.md` says of unsafe code, and of code that reads what others wrote.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The one file that may have some.
const SYS: &str = "src/sys.rs";
const SYS_LINES_MAX: usize = 300;

/// What a module begins with that reads what others wrote.
const DENIAL: &str = "
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]
";

#[test]
fn unsafe_code_is_where_the_documentation_says() {
    let mut files = vec![PathBuf::from("build.rs")];
    for dir in ["src", "codegen/src", "fuzz/src"] {
        collect(Path::new(dir), &mut files);
    }
    assert!(files.len() > 100, "the sources are not where they were");
    for path in files {
        let text = fs::read_to_string(&path).expect("readable");
        let lines = text.lines().filter(|line| has_unsafe(line)).count();
        if path == Path::new(SYS) {
            assert!(text.lines().count() <= SYS_LINES_MAX, "{SYS} has become long");
            let documented = fs::read_to_string("docs/security.md").expect("readable");
            let says_none = documented.contains("| `src/sys.rs` | none |");
            assert_eq!(lines == 0, says_none, "docs/security.md lists what is unsafe in {SYS}");
        } else {
            assert_eq!(lines, 0, "{}", path.display());
        }
    }
    let manifest = fs::read_to_string("Cargo.toml").expect("readable");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

#[test]
fn the_modules_that_deny_indices_and_panics_are_those_that_the_documentation_lists() {
    let text = fs::read_to_string("docs/security.md").expect("readable");
    let (_, section) = text.split_once("## Code that reads what others wrote").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let listed: BTreeSet<_> =
        rows.flat_map(|row| row.split('`')).filter(|word| word.ends_with(".rs")).map(PathBuf::from).collect();
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    files.retain(|path| fs::read_to_string(path).expect("readable").contains(DENIAL));
    assert_eq!(files.into_iter().collect::<BTreeSet<_>>(), listed);
    let manifest = fs::read_to_string("Cargo.toml").expect("readable");
    assert!(manifest.contains("unwrap_used = "));
}

fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
