//! Placeholder of the skeleton.

/// The subject.
pub fn subject(_der: &[u8]) -> Result<String, String> {
    unimplemented!()
}
