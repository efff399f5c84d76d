//! What cargo-fuzz runs. `tests/fuzz` runs the same targets on stable.

#[expect(dead_code, reason = "the heap is measured on stable, where there is an allocator that counts")]
mod targets;

/// Gives the bytes to the target of this name.
///
/// # Panics
/// If there is none, or it fails.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(bytes);
}
