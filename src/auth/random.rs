//! What nobody can guess. The one place of this module that is not pure; what needs it also takes it as an argument.

use rustls::crypto::ring;

/// The digits that Kafka writes its random texts in.
pub const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Bytes from here on would make the first digits of the alphabet likelier than the last.
const EVEN_BELOW: u8 = 252;

/// Random bytes.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.expect("the operating system has random bytes, or nobody may be let in");
    bytes
}

/// A random text of this many digits of the [`ALPHABET`].
#[must_use]
pub fn random_text(len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let digits = random_bytes::<32>().into_iter().filter(|byte| *byte < EVEN_BELOW);
        text.extend(digits.take(len - text.len()).map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_length_and_every_digit() {
        assert_eq!(random_text(0), "");
        assert_eq!(random_text(26).len(), 26);
        assert_ne!(random_text(26), random_text(26));
        let long = random_text(10_000);
        assert!(ALPHABET.iter().all(|digit| long.as_bytes().contains(digit)));
        assert!(long.bytes().all(|digit| ALPHABET.contains(&digit)));
    }
}
