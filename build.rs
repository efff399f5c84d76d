//! Generates the protocol's messages: `schemas/` and `messages.txt` in, one module a message out; and packs the schemas
//! into one text for the binary to carry.

use std::{env, error::Error, fs, path::Path};

use ottla_codegen::{Release, Schemas, Used, bundle::bundle, emit};

fn main() {
    println!("cargo:rerun-if-changed=schemas");
    println!("cargo:rerun-if-changed=messages.txt");
    if let Err(error) = generate() {
        println!("cargo:error={error}");
        std::process::exit(1);
    }
}

fn generate() -> Result<(), Box<dyn Error>> {
    let newer = Release::read(Path::new("schemas/kafka-4.4.0"))?;
    let older = Release::read(Path::new("schemas/kafka-3.9.1"))?;
    let schemas = Schemas::load(&newer, &older)?;
    let mut used = Used::parse("messages.txt", &fs::read_to_string("messages.txt")?, &schemas)?;
    if env::var_os("CARGO_FEATURE_ALL_MESSAGES").is_some() {
        used = used.and_all_others();
    }
    let messages = used.select(&schemas);

    let out = env::var("OUT_DIR")?;
    let directory = Path::new(&out).join("messages");
    fs::create_dir_all(&directory)?;
    let files = emit::emit(&messages, &schemas);
    for file in &files {
        fs::write(directory.join(format!("{}.rs", file.module)), &file.text)?;
    }
    let root = emit::emit_root(&files, &messages, &directory.display().to_string());
    fs::write(Path::new(&out).join("messages.rs"), root)?;
    fs::write(Path::new(&out).join("schemas.bundle"), bundle(&newer, &older)?)?;
    Ok(())
}
