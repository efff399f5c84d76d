//! What the encoding of a type takes at least: the bound that array counts are held against.

use crate::{
    model::{Field, Message, Type},
    versions::Versions,
};

/// The fewest bytes that a value of `ty` takes in any of `versions`. `field` is the one that holds it.
#[must_use]
pub fn least_size(message: &Message, field: &Field, ty: &Type, versions: Versions) -> usize {
    versions.iter().map(|version| least_size_at(message, field, ty, version)).min().unwrap_or(0)
}

fn least_size_at(message: &Message, field: &Field, ty: &Type, version: i16) -> usize {
    let compact = field.flexible.contains(version);
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String if compact => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) if compact => 1,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
        Type::Struct(index) => least_struct_size_at(message, *index, version),
    }
}

fn least_struct_size_at(message: &Message, index: usize, version: i16) -> usize {
    let tagged_fields = usize::from(message.flexible.contains(version));
    let fields = message.structs[index].fields.iter();
    let present = fields.filter(|f| f.versions.contains(version) && !f.tagged_versions().contains(version));
    tagged_fields
        + present
            .map(|f| match &f.ty {
                Type::Struct(_) if f.nullable.contains(version) => 1,
                ty => least_size_at(message, f, ty, version),
            })
            .sum::<usize>()
}
