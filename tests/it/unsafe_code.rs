//! What `docs/security.md` says of unsafe code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The one file that may have some.
const SYS: &str = "src/sys.rs";
const SYS_LINES_MAX: usize = 300;

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
