//! Values to bytes.

use super::{
    DEPTH_MAX, Layout, STRING_LEN_MAX, StructValue, Value,
    error::{Fault, Reason},
    integer,
};
use crate::model::{Field, Type};

pub(super) fn encode(layout: Layout<'_>, value: &Value) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    Encoder { layout, depth: 0 }.value(&Type::Struct(0), layout.is_flexible(), value, &mut out)?;
    Ok(out)
}

#[derive(Clone, Copy)]
struct Encoder<'a> {
    layout: Layout<'a>,
    /// Structs around the one at hand.
    depth: usize,
}

impl Encoder<'_> {
    fn structure(self, index: usize, value: &StructValue, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(Reason::TooDeep));
        }
        let inner = Self { depth: self.depth + 1, ..self };
        for (field, value) in self.layout.pairs(index, value)?.filter(|(field, _)| self.layout.tag(field).is_none()) {
            inner.field(field, value, out).map_err(|fault| fault.in_field(&field.camel_case_name()))?;
        }
        if self.layout.is_flexible() {
            return inner.tags(index, value, out);
        }
        if value.unknown.count > 0 { Err(Fault::new(Reason::NoTags)) } else { Ok(()) }
    }

    fn field(self, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        let nullable = self.layout.is_nullable(field);
        match (&field.ty, value) {
            (_, Value::Null) if !nullable => Err(Fault::new(Reason::Null)),
            (Type::Struct(_), Value::Null) => {
                out.push((-1i8).cast_unsigned());
                Ok(())
            }
            (ty, value) => {
                if nullable && matches!(ty, Type::Struct(_)) {
                    out.push(1);
                }
                self.value(ty, self.layout.is_compact(field), value, out)
            }
        }
    }

    /// The tagged fields behind a struct, those at their default left out. Unknown tags are above all known ones.
    fn tags(self, index: usize, value: &StructValue, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut tagged: Vec<_> = self
            .layout
            .pairs(index, value)?
            .filter_map(|(field, value)| Some((self.layout.tag(field)?, field, value)))
            .filter(|(_, field, value)| **value != self.layout.default(field))
            .collect();
        tagged.sort_by_key(|(tag, _, _)| *tag);
        let known = u32::try_from(tagged.len()).map_err(|_| Fault::new(Reason::TooLong(tagged.len())))?;
        varint(known.saturating_add(value.unknown.count), out);
        for (tag, field, value) in tagged {
            let content = self.tagged(field, value).map_err(|fault| fault.in_field(&field.camel_case_name()))?;
            varint(tag, out);
            varint(u32::try_from(content.len()).map_err(|_| Fault::new(Reason::TooLong(content.len())))?, out);
            out.extend_from_slice(&content);
        }
        out.extend_from_slice(&value.unknown.raw);
        Ok(())
    }

    /// The content of a tagged field. A nullable struct has a varint before it here, not a byte.
    fn tagged(self, field: &Field, value: &Value) -> Result<Vec<u8>, Fault> {
        let nullable = self.layout.is_nullable(field);
        let mut content = Vec::new();
        match (&field.ty, value) {
            (_, Value::Null) if !nullable => return Err(Fault::new(Reason::Null)),
            (Type::Struct(_), Value::Null) => varint(0, &mut content),
            (ty, value) => {
                if nullable && matches!(ty, Type::Struct(_)) {
                    varint(1, &mut content);
                }
                self.value(ty, self.layout.is_compact(field), value, &mut content)?;
            }
        }
        Ok(content)
    }

    fn value(self, ty: &Type, compact: bool, value: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        match (ty, value) {
            (Type::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
            (Type::Float64, Value::Float(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Type::Uuid, Value::Uuid(value)) => out.extend_from_slice(value.as_bytes()),
            (Type::Struct(index), Value::Struct(value)) => self.structure(*index, value, out)?,
            (Type::String, Value::Null) => null_string(compact, out),
            (Type::Bytes | Type::Records | Type::Array(_), Value::Null) => null(compact, out),
            (Type::String, Value::String(value)) => string(value, compact, out)?,
            (Type::Bytes | Type::Records, Value::Bytes(value)) => {
                length(value.len(), compact, out)?;
                out.extend_from_slice(value);
            }
            (Type::Array(element), Value::Array(values)) => {
                length(values.len(), compact, out)?;
                self.elements(element, compact, values, out)?;
            }
            (ty, Value::Int(value)) => int(ty, *value, out)?,
            (ty, value) => return Err(mismatch(ty, value)),
        }
        Ok(())
    }

    fn elements(self, ty: &Type, compact: bool, values: &[Value], out: &mut Vec<u8>) -> Result<(), Fault> {
        for (index, value) in values.iter().enumerate() {
            let written = match value {
                Value::Null => Err(Fault::new(Reason::Null)),
                value => self.value(ty, compact, value, out),
            };
            written.map_err(|fault| fault.in_element(index))?;
        }
        Ok(())
    }
}

pub(super) fn mismatch(ty: &Type, value: &Value) -> Fault {
    Fault::new(Reason::Mismatch { expected: ty.name(), got: value.kind() })
}

fn int(ty: &Type, value: i64, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (width, least, greatest) = integer(ty).ok_or_else(|| mismatch(ty, &Value::Int(value)))?;
    if !(least..=greatest).contains(&value) {
        return Err(Fault::new(Reason::OutOfRange { value: value.to_string(), ty: ty.name() }));
    }
    let bytes = value.to_be_bytes();
    out.extend_from_slice(&bytes[bytes.len() - width..]);
    Ok(())
}

fn string(value: &str, compact: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    let too_long = || Fault::new(Reason::StringTooLong(value.len()));
    if value.len() > STRING_LEN_MAX {
        return Err(too_long());
    }
    if compact {
        length(value.len(), compact, out)?;
    } else {
        out.extend_from_slice(&i16::try_from(value.len()).map_err(|_| too_long())?.to_be_bytes());
    }
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

fn length(len: usize, compact: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    let length = i32::try_from(len).map_err(|_| Fault::new(Reason::TooLong(len)))?;
    if compact {
        varint(length.cast_unsigned() + 1, out);
    } else {
        out.extend_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn null(compact: bool, out: &mut Vec<u8>) {
    if compact {
        varint(0, out);
    } else {
        out.extend_from_slice(&(-1i32).to_be_bytes());
    }
}

fn null_string(compact: bool, out: &mut Vec<u8>) {
    if compact {
        varint(0, out);
    } else {
        out.extend_from_slice(&(-1i16).to_be_bytes());
    }
}

/// An unsigned varint.
#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are wanted")]
pub(crate) fn varint(mut value: u32, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
