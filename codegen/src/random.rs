//! Random values of any message, for property tests. The same seed gives the same value.

use uuid::Uuid;

use crate::{
    interpret::{InterpretError, Layout, StructValue, UnknownTags, Value, default_value, integer, varint},
    model::{Field, Message, Type},
};

/// Structs nested deeper than this get empty arrays, so that values stay small.
const BRANCHING_DEPTH_MAX: usize = 4;

/// A random valid value of a message: nulls, defaults, empty and long arrays, unknown tagged fields.
pub fn value(message: &Message, version: i16, seed: u64) -> Result<Value, InterpretError> {
    // Also finds a version that does not exist.
    let default = default_value(message, version)?;
    let Ok(layout) = Layout::new(message, version) else { return Ok(default) };
    let mut rng = Rng::new(seed);
    Ok(Value::Struct(Maker { layout, rng: &mut rng, depth: 0 }.structure(0)))
}

/// Sebastiano Vigna's splitmix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that this seed determines.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound as u64).expect("the remainder is below a usize")
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.bits().to_le_bytes()[0]).take(len).collect()
    }
}

struct Maker<'a> {
    layout: Layout<'a>,
    rng: &'a mut Rng,
    depth: usize,
}

impl Maker<'_> {
    fn structure(&mut self, index: usize) -> StructValue {
        self.depth += 1;
        let fields = self.layout.fields(index).map(|field| self.field(field)).collect();
        self.depth -= 1;
        let unknown =
            if self.layout.is_flexible() && self.rng.one_in(8) { self.unknown(index) } else { UnknownTags::default() };
        StructValue { fields, unknown }
    }

    fn field(&mut self, field: &Field) -> Value {
        let tagged = self.layout.tag(field).is_some();
        if self.layout.is_nullable(field) && self.rng.one_in(4) {
            return Value::Null;
        }
        if tagged && self.rng.one_in(2) {
            return self.layout.default(field);
        }
        self.value(&field.ty)
    }

    fn value(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(self.rng.one_in(2)),
            Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => self.int(ty),
            Type::Float64 => Value::Float(self.float()),
            Type::Uuid => Value::Uuid(Uuid::from_u64_pair(self.rng.bits(), self.rng.bits())),
            Type::String => Value::String(self.string()),
            Type::Bytes | Type::Records => {
                let len = self.length();
                Value::Bytes(self.rng.bytes(len))
            }
            Type::Struct(index) => Value::Struct(self.structure(*index)),
            Type::Array(element) => self.array(element),
        }
    }

    fn array(&mut self, element: &Type) -> Value {
        let len = match element {
            Type::Struct(_) if self.depth > BRANCHING_DEPTH_MAX => 0,
            Type::Struct(_) => self.rng.below(4),
            _ => self.length(),
        };
        Value::Array((0..len).map(|_| self.value(element)).collect())
    }

    /// Mostly short, sometimes long enough for a second byte of a varint.
    fn length(&mut self) -> usize {
        if self.rng.one_in(16) { 100 + self.rng.below(100) } else { self.rng.below(6) }
    }

    fn int(&mut self, ty: &Type) -> Value {
        let (width, least, greatest) = integer(ty).unwrap_or((8, i64::MIN, i64::MAX));
        Value::Int(match self.rng.below(8) {
            0 => least,
            1 => greatest,
            2 => (-1).max(least),
            3 => 0,
            _ => {
                let bits = self.rng.bits() >> (64 - 8 * width);
                least.wrapping_add(bits.cast_signed())
            }
        })
    }

    /// Any but NaN, which does not equal itself.
    fn float(&mut self) -> f64 {
        let float = f64::from_bits(self.rng.bits());
        if float.is_nan() { 1.5 } else { float }
    }

    fn string(&mut self) -> String {
        let len = self.length();
        (0..len)
            .map(|_| *['a', 'Z', '7', '-', '"', '\n', '\0', 'é', '好', '🦀'].get(self.rng.below(10)).unwrap_or(&'?'))
            .collect()
    }

    fn unknown(&mut self, index: usize) -> UnknownTags {
        let count = 1 + u32::from(self.rng.one_in(2));
        let mut tag = self.layout.first_unknown_tag(index);
        let mut raw = Vec::new();
        for _ in 0..count {
            tag += u32::from(self.rng.bytes(1)[0]);
            let content_len = u8::from(self.rng.one_in(2)) * 5;
            varint(tag, &mut raw);
            varint(content_len.into(), &mut raw);
            raw.extend(self.rng.bytes(content_len.into()));
            tag += 1;
        }
        UnknownTags { count, raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.bits(), rng.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
