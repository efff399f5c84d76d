//! Fields at fixed places of a header or entry of a fixed size.

/// The `N` bytes at `AT`.
#[inline]
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "held against the size when compiled")]
pub fn field<const AT: usize, const N: usize, const SIZE: usize>(bytes: &[u8; SIZE]) -> [u8; N] {
    const { assert!(AT + N <= SIZE) };
    let mut field = [0; N];
    field.copy_from_slice(&bytes[AT..AT + N]);
    field
}
