//! The layers, held against the text of `src/`: a module may use those above it in `src/lib.rs`, never those below.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a module leaves alone although it stands above it.
const BESIDES: &[(&str, &[&str])] = &[
    ("config", &["protocol"]),
    ("log", &["config", "protocol::messages"]),
    ("network", &["config", "log", "metadata", "auth", "broker", "protocol::messages", "protocol::wire"]),
];

#[test]
fn modules_use_only_what_stands_above_them() {
    let order = module_order();
    let place = |module: &str| order.iter().position(|name| name == module);
    let mut offences = Vec::new();
    for file in rust_files(Path::new("src")) {
        let Some(own) = place(&module_of(&file)) else { continue };
        for path in crate_paths(&fs::read_to_string(&file).expect("readable")) {
            let used = path.split("::").next().expect("a first segment");
            let used = place(used).unwrap_or_else(|| panic!("{}: crate::{path} is no module", file.display()));
            if used > own {
                offences.push(format!("{}: crate::{path}", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn modules_leave_each_other_alone() {
    let mut offences = Vec::new();
    for (module, others) in BESIDES {
        for file in rust_files(Path::new("src")).iter().filter(|file| module_of(file) == *module) {
            let paths = crate_paths(&fs::read_to_string(file).expect("readable"));
            let used = paths.iter().filter(|path| others.iter().any(|other| is_in(path, other)));
            offences.extend(used.map(|path| format!("{}: crate::{path}", file.display())));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

/// Whether `path` is a module or something in it.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The modules in the order of `src/lib.rs`.
fn module_order() -> Vec<String> {
    let text = fs::read_to_string("src/lib.rs").expect("readable");
    let names = text.lines().filter_map(|line| {
        line.trim_start_matches("pub ").strip_prefix("mod ").map(|rest| rest.trim_end_matches(';').to_owned())
    });
    names.collect()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The module of the crate that a file belongs to.
fn module_of(file: &Path) -> String {
    let below = file.strip_prefix("src").expect("a file of src").components().next().expect("a name");
    below.as_os_str().to_str().expect("a name in UTF-8").trim_end_matches(".rs").to_owned()
}

/// Every path that begins with `crate::`, without that, and with what is in braces written out. Comments do not count.
fn crate_paths(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut paths = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let is_word = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_word {
            write_out("", &code[at + prefix.len()..], &mut paths);
        }
    }
    paths
}

/// Adds the paths that `text` begins with, each behind `prefix`; returns how long they are in the text.
fn write_out(prefix: &str, text: &str, paths: &mut Vec<String>) -> usize {
    if let Some(group) = text.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += group[at..].find(|c: char| !c.is_whitespace() && c != ',').expect("a closed brace");
            if group[at..].starts_with('}') {
                return at + 2;
            }
            at += write_out(prefix, &group[at..], paths).max(1);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path = if prefix.is_empty() { text[..end].to_owned() } else { format!("{prefix}::{}", &text[..end]) };
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            end + 2 + write_out(&path, rest, paths)
        }
        _ => {
            paths.push(path);
            end + len_of_new_name(&text[end..])
        }
    }
}

/// How long the ` as name` is that `text` begins with, if it does.
fn len_of_new_name(text: &str) -> usize {
    let Some(name) = text.strip_prefix(" as ") else { return 0 };
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    text.len() - name.len() + end
}

#[test]
fn paths_are_found_in_every_spelling() {
    let text =
        "use crate::{\n a::{B, c::{self, D}},\n e, // crate::no\n f::G as H,\n};\nfn x() -> crate::i::J<crate::k> {}";
    assert_eq!(crate_paths(text), ["a::B", "a::c::self", "a::c::D", "e", "f::G", "i::J", "k"]);
}
