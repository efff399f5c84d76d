//! Bytes to values. What Kafka's own readers accept is accepted: any negative length is null, any byte but 0 is true.

use uuid::Uuid;

use super::{
    DEPTH_MAX, Layout, STRING_LEN_MAX, StructValue, UnknownTags, Value,
    error::{Fault, Reason},
    reader::Reader,
};
use crate::model::{Field, Type};

/// Elements that an array has room for before any of them is read.
const ARRAY_CAPACITY_MAX: usize = 1024;

pub(super) fn decode(layout: Layout<'_>, bytes: &[u8]) -> Result<(Value, usize), Fault> {
    let mut reader = Reader::new(bytes);
    let value = Decoder { layout, depth: 0 }.structure(0, &mut reader)?;
    Ok((Value::Struct(value), reader.position()))
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    layout: Layout<'a>,
    /// Structs around the one at hand.
    depth: usize,
}

impl Decoder<'_> {
    fn structure(self, index: usize, reader: &mut Reader<'_>) -> Result<StructValue, Fault> {
        if self.depth > DEPTH_MAX {
            return Err(Fault::at(reader.position(), Reason::TooDeep));
        }
        let inner = Self { depth: self.depth + 1, ..self };
        let mut fields = Vec::new();
        for field in self.layout.fields(index) {
            fields.push(match self.layout.tag(field) {
                Some(_) => self.layout.default(field),
                None => inner.field(field, reader).map_err(|fault| fault.in_field(&field.camel_case_name()))?,
            });
        }
        let unknown =
            if self.layout.is_flexible() { inner.tags(index, &mut fields, reader)? } else { UnknownTags::default() };
        Ok(StructValue { fields, unknown })
    }

    fn field(self, field: &Field, reader: &mut Reader<'_>) -> Result<Value, Fault> {
        let nullable = self.layout.is_nullable(field);
        if nullable && matches!(field.ty, Type::Struct(_)) {
            let [marker] = reader.array()?;
            if marker.cast_signed() < 0 {
                return Ok(Value::Null);
            }
        }
        self.value(&field.ty, self.layout.is_compact(field), nullable, reader)
    }

    /// The tagged fields behind a struct. The known ones replace their defaults in `fields`.
    fn tags(self, index: usize, fields: &mut [Value], reader: &mut Reader<'_>) -> Result<UnknownTags, Fault> {
        let mut unknown = UnknownTags::default();
        let mut previous = None;
        for _ in 0..reader.varint()? {
            let start = reader.position();
            let tag = reader.varint()?;
            if let Some(previous) = previous.replace(tag).filter(|&previous| previous >= tag) {
                return Err(Fault::at(start, Reason::TagOrder { previous, tag }));
            }
            let size = reader.varint()?;
            let mut content = reader.bounded(usize::try_from(size).unwrap_or(usize::MAX))?;
            if tag >= self.layout.first_unknown_tag(index) {
                unknown.count += 1;
                unknown.raw.extend_from_slice(reader.since(start));
                continue;
            }
            let known =
                self.layout.fields(index).zip(&mut *fields).find(|(field, _)| self.layout.tag(field) == Some(tag));
            let (field, value) = known.ok_or_else(|| Fault::at(start, Reason::TagNotInVersion(tag)))?;
            *value = self.tagged(tag, field, &mut content).map_err(|fault| fault.in_field(&field.camel_case_name()))?;
        }
        Ok(unknown)
    }

    /// A known tagged field, which has to fill its size.
    fn tagged(self, tag: u32, field: &Field, content: &mut Reader<'_>) -> Result<Value, Fault> {
        let size = content.left();
        let nullable = self.layout.is_nullable(field);
        let is_null = nullable && matches!(field.ty, Type::Struct(_)) && content.varint()? == 0;
        let value = if is_null {
            Value::Null
        } else {
            self.value(&field.ty, self.layout.is_compact(field), nullable, content)?
        };
        match content.left() {
            0 => Ok(value),
            left => Err(Fault::at(content.position(), Reason::TagSize { tag, size, left })),
        }
    }

    fn value(self, ty: &Type, compact: bool, nullable: bool, reader: &mut Reader<'_>) -> Result<Value, Fault> {
        let start = reader.position();
        let value = match ty {
            Type::Bool => Value::Bool(reader.array::<1>()? != [0]),
            Type::Int8 => Value::Int(i8::from_be_bytes(reader.array()?).into()),
            Type::Int16 => Value::Int(i16::from_be_bytes(reader.array()?).into()),
            Type::Uint16 => Value::Int(u16::from_be_bytes(reader.array()?).into()),
            Type::Int32 => Value::Int(i32::from_be_bytes(reader.array()?).into()),
            Type::Uint32 => Value::Int(u32::from_be_bytes(reader.array()?).into()),
            Type::Int64 => Value::Int(i64::from_be_bytes(reader.array()?)),
            Type::Float64 => Value::Float(f64::from_be_bytes(reader.array()?)),
            Type::Uuid => Value::Uuid(Uuid::from_bytes(reader.array()?)),
            Type::Struct(index) => Value::Struct(self.structure(*index, reader)?),
            Type::String => match reader.string_length(compact)? {
                Some(len) => string(len, reader)?,
                None => Value::Null,
            },
            Type::Bytes | Type::Records => match reader.length(compact)? {
                Some(len) => Value::Bytes(reader.take(len)?.to_vec()),
                None => Value::Null,
            },
            Type::Array(element) => match reader.length(compact)? {
                Some(count) => self.elements(element, count, compact, reader)?,
                None => Value::Null,
            },
        };
        if value == Value::Null && !nullable {
            return Err(Fault::at(start, Reason::Null));
        }
        Ok(value)
    }

    fn elements(self, ty: &Type, count: usize, compact: bool, reader: &mut Reader<'_>) -> Result<Value, Fault> {
        let left = reader.left();
        // A struct without fields takes no bytes. Counting it as one bounds it, as Kafka does.
        if count > left / self.layout.least_size(ty, compact).max(1) {
            return Err(Fault::at(reader.position(), Reason::TooManyElements { count, left }));
        }
        let mut elements = Vec::with_capacity(count.min(ARRAY_CAPACITY_MAX));
        for index in 0..count {
            elements.push(self.value(ty, compact, false, reader).map_err(|fault| fault.in_element(index))?);
        }
        Ok(Value::Array(elements))
    }
}

fn string(len: usize, reader: &mut Reader<'_>) -> Result<Value, Fault> {
    let start = reader.position();
    if len > STRING_LEN_MAX {
        return Err(Fault::at(start, Reason::StringTooLong(len)));
    }
    let bytes = reader.take(len)?;
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid_len = error.valid_up_to();
        Fault::at(start, Reason::NotUtf8 { valid_len })
    })?;
    Ok(Value::String(text.to_owned()))
}
