//! A message's schema seen from one version: which fields there are, and in which form.

use uuid::Uuid;

use super::{
    StructValue, UnknownTags, Value,
    error::{Fault, Reason},
    integer,
};
use crate::model::{Default, Field, Message, Type};

/// A message in one of its versions.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    message: &'a Message,
    version: i16,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(message: &'a Message, version: i16) -> Result<Self, Fault> {
        if message.versions.contains(version) {
            return Ok(Self { message, version });
        }
        Err(Fault::new(Reason::NoSuchVersion(message.versions)))
    }

    /// The fields of a struct that exist in this version.
    pub(crate) fn fields(self, index: usize) -> impl Iterator<Item = &'a Field> {
        self.message.structs[index].fields.iter().filter(move |field| field.versions.contains(self.version))
    }

    /// The fields of a struct that only other versions have.
    pub(super) fn absent_fields(self, index: usize) -> impl Iterator<Item = &'a Field> {
        self.message.structs[index].fields.iter().filter(move |field| !field.versions.contains(self.version))
    }

    /// The fields of a struct with the values for them.
    pub(super) fn pairs<'v>(
        self,
        index: usize,
        value: &'v StructValue,
    ) -> Result<impl Iterator<Item = (&'a Field, &'v Value)>, Fault> {
        let expected = self.fields(index).count();
        let got = value.fields.len();
        if expected != got {
            return Err(Fault::new(Reason::FieldCount { expected, got }));
        }
        Ok(self.fields(index).zip(&value.fields))
    }

    /// Whether structs have tagged fields.
    pub(crate) fn is_flexible(self) -> bool {
        self.message.flexible.contains(self.version)
    }

    /// The field's tag, if it is tagged in this version.
    pub(crate) fn tag(self, field: &Field) -> Option<u32> {
        field.tag.filter(|tag| tag.versions.contains(self.version)).map(|tag| tag.number)
    }

    /// Whether the lengths of the field and of its elements are compact.
    pub(super) fn is_compact(self, field: &Field) -> bool {
        field.flexible.contains(self.version)
    }

    pub(crate) fn is_nullable(self, field: &Field) -> bool {
        field.nullable.contains(self.version)
    }

    /// The tags from this one on belong to no field of the struct, in whichever version.
    pub(crate) fn first_unknown_tag(self, index: usize) -> u32 {
        let tags = self.message.structs[index].fields.iter().filter_map(|field| field.tag);
        tags.map(|tag| tag.number.saturating_add(1)).max().unwrap_or(0)
    }

    /// A struct with every field at its default.
    pub(crate) fn default_struct(self, index: usize) -> StructValue {
        let fields = self.fields(index).map(|field| self.default(field)).collect();
        StructValue { fields, unknown: UnknownTags::default() }
    }

    /// The field's default.
    pub(crate) fn default(self, field: &Field) -> Value {
        match &field.default {
            Default::Empty => self.empty(&field.ty),
            Default::Null => Value::Null,
            Default::Bool(value) => Value::Bool(*value),
            Default::Int(value) => Value::Int(*value),
            Default::Float(value) => Value::Float(*value),
            Default::String(value) => Value::String(value.clone()),
        }
    }

    fn empty(self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(false),
            Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => Value::Int(0),
            Type::Float64 => Value::Float(0.0),
            Type::Uuid => Value::Uuid(Uuid::nil()),
            Type::String => Value::String(String::new()),
            Type::Bytes | Type::Records => Value::Bytes(Vec::new()),
            Type::Struct(index) => Value::Struct(self.default_struct(*index)),
            Type::Array(_) => Value::Array(Vec::new()),
        }
    }

    /// The least number of bytes that a value of the type takes.
    pub(super) fn least_size(self, ty: &Type, compact: bool) -> usize {
        match ty {
            Type::Bool => 1,
            Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String if !compact => 2,
            Type::Bytes | Type::Records | Type::Array(_) if !compact => 4,
            Type::String | Type::Bytes | Type::Records | Type::Array(_) => 1,
            Type::Struct(index) => self.least_struct_size(*index),
            Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => {
                integer(ty).map_or(1, |(width, _, _)| width)
            }
        }
    }

    fn least_struct_size(self, index: usize) -> usize {
        let untagged = self.fields(index).filter(|field| self.tag(field).is_none());
        let sizes = untagged.map(|field| match field.ty {
            Type::Struct(_) if self.is_nullable(field) => 1,
            _ => self.least_size(&field.ty, self.is_compact(field)),
        });
        sizes.sum::<usize>() + usize::from(self.is_flexible())
    }
}
