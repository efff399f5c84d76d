//! The checked model: types resolved, and the rules for tags, nulls, defaults and names hold by construction.

use crate::{spec::MessageKind, versions::Versions};

mod check;

pub use check::{check, check_set};

/// A message and all structs in it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message's name, such as `FetchRequest`.
    pub name: String,
    /// What the message is for.
    pub kind: MessageKind,
    /// Number of the API or of the record type.
    pub api_key: Option<i16>,
    /// Versions that exist. Closed, and empty for a message that upstream only keeps the name of.
    pub versions: Versions,
    /// Versions with compact lengths and tagged fields.
    pub flexible: Versions,
    /// Whether the newest version may still change.
    pub latest_unstable: bool,
    /// The structs; the message itself is the first.
    pub structs: Vec<Struct>,
}

/// A struct of a message.
#[derive(Clone, Debug)]
pub struct Struct {
    /// The struct's name.
    pub name: String,
    /// Versions in which it exists.
    pub versions: Versions,
    /// The fields in wire order.
    pub fields: Vec<Field>,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name as the schema writes it, such as `TopicId`.
    pub name: String,
    /// The description.
    pub about: String,
    /// What it holds.
    pub ty: Type,
    /// Versions in which it exists.
    pub versions: Versions,
    /// Versions in which it may be null.
    pub nullable: Versions,
    /// In which versions it is tagged, and how.
    pub tag: Option<Tag>,
    /// Versions in which its length is compact.
    pub flexible: Versions,
    /// The value where none was set or sent.
    pub default: Default,
    /// Whether a value is dropped silently in versions that lack the field.
    pub ignorable: bool,
    /// Whether the field is (part of) the key of its struct within an array.
    pub map_key: bool,
    /// What the value identifies, such as `topicName`.
    pub entity: Option<String>,
}

/// How a field is tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The tag.
    pub number: u32,
    /// The versions in which the field is tagged: all of those in which it exists from some version on.
    pub versions: Versions,
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// One byte, 0 or 1.
    Bool,
    /// A signed byte.
    Int8,
    /// Two bytes, signed.
    Int16,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes, signed.
    Int32,
    /// Four bytes, unsigned.
    Uint32,
    /// Eight bytes, signed.
    Int64,
    /// IEEE 754 double.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8.
    String,
    /// Bytes.
    Bytes,
    /// Record batches.
    Records,
    /// A struct of the message, by index.
    Struct(usize),
    /// A sequence.
    Array(Box<Self>),
}

/// A field's default.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// The type's empty value: false, 0, "", no bytes, no elements, a struct of defaults.
    Empty,
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer within its type's range.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string.
    String(String),
}

impl Message {
    /// The struct that is the message itself.
    #[must_use]
    pub fn root(&self) -> &Struct {
        &self.structs[0]
    }

    /// The same message with the versions outside `versions` forgotten: fields and structs that exist only there are gone.
    #[must_use]
    pub fn restricted(&self, versions: Versions) -> Self {
        let versions = self.versions.intersect(versions);
        let mut restricted = Self { versions, structs: Vec::new(), ..self.clone() };
        let mut moved = vec![None; self.structs.len()];
        self.copy_struct(0, versions, &mut moved, &mut restricted.structs);
        restricted
    }

    /// Copies struct `index` and those it uses into `out`; `moved` tells where each one went.
    fn copy_struct(
        &self,
        index: usize,
        versions: Versions,
        moved: &mut [Option<usize>],
        out: &mut Vec<Struct>,
    ) -> usize {
        if let Some(place) = moved[index] {
            return place;
        }
        let source = &self.structs[index];
        let place = out.len();
        moved[index] = Some(place);
        out.push(Struct { name: source.name.clone(), versions: source.versions, fields: Vec::new() });
        for field in &source.fields {
            if versions.intersect(field.versions).is_empty() {
                continue;
            }
            let ty = field.ty.with_structs(&mut |inner| self.copy_struct(inner, versions, moved, out));
            out[place].fields.push(Field { ty, ..field.clone() });
        }
        place
    }
}

impl Struct {
    /// The fields that exist in `version`.
    pub fn fields_in(&self, version: i16) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.versions.contains(version))
    }
}

impl Field {
    /// Versions in which the field is tagged.
    #[must_use]
    pub fn tagged_versions(&self) -> Versions {
        self.tag.map_or(Versions::NONE, |tag| tag.versions)
    }

    /// The name as Kafka's JSON has it, such as `topicId`.
    #[must_use]
    pub fn camel_case_name(&self) -> String {
        let mut chars = self.name.chars();
        chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
    }

    /// The name as Rust has it, such as `topic_id`.
    #[must_use]
    pub fn snake_case_name(&self) -> String {
        snake_case(&self.name)
    }
}

impl Type {
    /// The type with every struct index passed through `map`.
    fn with_structs(&self, map: &mut impl FnMut(usize) -> usize) -> Self {
        match self {
            Self::Struct(index) => Self::Struct(map(*index)),
            Self::Array(element) => Self::Array(Box::new(element.with_structs(map))),
            other => other.clone(),
        }
    }

    /// The type's name in the schemas, which is also what `Reader` and `Writer` call what they do with it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Uuid => "uuid",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Struct(_) => "struct",
            Self::Array(_) => "array",
        }
    }

    /// The struct that an array of structs holds, by index.
    #[must_use]
    pub fn element_struct(&self) -> Option<usize> {
        match self {
            Self::Array(element) => match **element {
                Self::Struct(index) => Some(index),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether null is among the type's possible values.
    #[must_use]
    pub fn can_be_null(&self) -> bool {
        matches!(self, Self::String | Self::Bytes | Self::Records | Self::Struct(_) | Self::Array(_))
    }
}

/// `TopicId` to `topic_id`; a run of capitals is one word.
#[must_use]
pub fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let after_lower = at > 0 && !chars[at - 1].is_uppercase();
        let before_lower = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && at > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_rust_names() {
        for (name, snake) in [
            ("TopicId", "topic_id"),
            ("KRaftVersionRecord", "k_raft_version_record"),
            ("ListOffsetsRequest", "list_offsets_request"),
            ("SslDN", "ssl_dn"),
            ("IDs", "i_ds"),
            ("topics", "topics"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
