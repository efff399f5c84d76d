//! Bytes out of hexadecimal digits.

use bytes::Bytes;

pub(crate) fn unhex(text: &str) -> Bytes {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).expect("hex");
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
