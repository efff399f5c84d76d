//! Zigzag varints, in which a record writes its numbers: least significant seven bits first, small magnitudes short.
//!
//! Reading is strict where Apache Kafka's reader shifts silently: a number that has more bits than its type is refused.

/// Why bytes are not a varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The bytes end before the number does.
    #[error("bytes end inside a varint")]
    Truncated,
    /// More bits than the type has.
    #[error("varint has more than {bits} bits")]
    TooLong {
        /// Bits of the type that was asked for.
        bits: u32,
    },
}

/// Takes a 32-bit number off the front of `bytes`: five bytes at most.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let raw = read_unsigned::<{ u32::BITS }>(bytes)?;
    let raw = u32::try_from(raw).map_err(|_| VarintError::TooLong { bits: u32::BITS })?;
    Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
}

/// Takes a 64-bit number off the front of `bytes`: ten bytes at most.
#[inline]
pub fn read_varlong(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = read_unsigned::<{ u64::BITS }>(bytes)?;
    Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
}

/// Appends a 32-bit number.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    // Sign extension makes the two widths agree on every 32-bit number.
    write_varlong(out, i64::from(value));
}

/// Appends a 64-bit number.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push(raw.to_le_bytes()[0] | 0x80);
        raw >>= 7;
    }
    out.push(raw.to_le_bytes()[0]);
}

/// Takes a number off in as many bytes as `BITS` bits need at most. More than 64 bits are refused here; what is more than
/// fewer is left to the caller.
#[inline]
fn read_unsigned<const BITS: u32>(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut value = 0;
    let mut rest = *bytes;
    for shift in (0..BITS).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else { return Err(VarintError::Truncated) };
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            break;
        }
        value |= part << shift;
        if byte < 0x80 {
            *bytes = after;
            return Ok(value);
        }
        rest = after;
    }
    Err(VarintError::TooLong { bits: BITS })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        for (value, encoded) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, encoded, "{value}");
        }
    }

    #[test]
    fn bits_beyond_the_type_are_refused() {
        let too_long = Err(VarintError::TooLong { bits: 32 });
        assert_eq!(read_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), too_long);
        assert_eq!(read_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), too_long);
        let too_long = Err(VarintError::TooLong { bits: 64 });
        assert_eq!(read_varlong(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), too_long);
        assert_eq!(read_varlong(&mut &[0x80; 11][..]), too_long);
    }

    #[test]
    fn a_cut_varint_is_truncated_and_nothing_is_taken() {
        let mut bytes = &[0x80, 0x80][..];
        assert_eq!(read_varint(&mut bytes), Err(VarintError::Truncated));
        assert_eq!(bytes.len(), 2);
        assert_eq!(read_varlong(&mut &[][..]), Err(VarintError::Truncated));
    }

    proptest! {
        #[test]
        fn every_number_survives(small: i32, large: i64) {
            let mut out = Vec::new();
            write_varint(&mut out, small);
            prop_assert!(out.len() <= 5);
            write_varlong(&mut out, large);
            let mut bytes = out.as_slice();
            prop_assert_eq!(read_varint(&mut bytes), Ok(small));
            prop_assert_eq!(read_varlong(&mut bytes), Ok(large));
            prop_assert!(bytes.is_empty());
        }
    }
}
