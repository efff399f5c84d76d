//! From the schema as written to the model: every rule that Kafka's own generator enforces, and where it is broken.

use std::collections::HashMap;

use super::{Default, Field, Message, Struct, Tag, Type};
use crate::{
    error::SchemaError,
    spec::{FieldSpec, MessageKind, MessageSpec},
    versions::Versions,
};

/// Nested deeper than this, a schema is refused: the decoder's recursion is bounded by it.
const DEPTH_MAX: usize = 16;

/// Checks one schema. `file` names it in errors.
pub fn check(file: &str, spec: &MessageSpec) -> Result<Message, SchemaError> {
    let mut checker = Checker { spec, structs: Vec::new(), places: HashMap::new(), open: Vec::new(), path: Vec::new() };
    checker.message().map_err(|reason| SchemaError {
        file: file.to_owned(),
        message: Some(spec.name.clone()),
        field: (!checker.path.is_empty()).then(|| checker.path.join(".")),
        reason,
    })
}

/// Checks that no two messages of a set have one name, and no two requests or two responses one key.
pub fn check_set<'a>(messages: impl IntoIterator<Item = (&'a str, &'a Message)>) -> Result<(), SchemaError> {
    let mut names = HashMap::new();
    let mut keys: HashMap<_, &str> = HashMap::new();
    for (file, message) in messages {
        let at = |reason| SchemaError { message: Some(message.name.clone()), ..SchemaError::new(file, reason) };
        if let Some(other) = names.insert(&message.name, file) {
            return Err(at(format!("the same name is in {other}")));
        }
        // The keys of records are each log's own.
        if matches!(message.kind, MessageKind::Request | MessageKind::Response)
            && let Some(other) = keys.insert((message.kind, message.api_key), &message.name)
        {
            return Err(at(format!("{other} has the same apiKey")));
        }
    }
    Ok(())
}

struct Checker<'a> {
    spec: &'a MessageSpec,
    structs: Vec<Struct>,
    places: HashMap<String, usize>,
    /// The structs whose definition has begun and not ended.
    open: Vec<usize>,
    /// The fields on the way to the one at hand.
    path: Vec<String>,
}

type Checked<T> = Result<T, String>;

impl Checker<'_> {
    fn message(&mut self) -> Checked<Message> {
        let spec = self.spec;
        check_name(&spec.name)?;
        check_message(spec)?;
        self.check_common_structs()?;
        self.define(&spec.name, spec.valid_versions, &spec.fields)?;
        for common in &spec.common_structs {
            if !self.places.contains_key(&common.name) {
                return Err(format!("common struct {} is not used", common.name));
            }
        }
        Ok(Message {
            name: spec.name.clone(),
            kind: spec.kind,
            api_key: spec.api_key,
            versions: spec.valid_versions,
            flexible: spec.flexible_versions,
            latest_unstable: spec.latest_version_unstable,
            structs: std::mem::take(&mut self.structs),
        })
    }

    fn check_common_structs(&self) -> Checked<()> {
        for (at, common) in self.spec.common_structs.iter().enumerate() {
            if self.spec.common_structs[..at].iter().any(|other| other.name == common.name) {
                return Err(format!("common struct {} is defined twice", common.name));
            }
        }
        Ok(())
    }

    /// Adds a struct, with all that its fields need, and says where it stands.
    fn define(&mut self, name: &str, versions: Versions, specs: &[FieldSpec]) -> Checked<usize> {
        check_name(name)?;
        if self.path.len() > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        let place = self.structs.len();
        if self.places.insert(name.to_owned(), place).is_some() {
            return Err(format!("struct {name} is defined twice"));
        }
        self.structs.push(Struct { name: name.to_owned(), versions, fields: Vec::new() });
        self.open.push(place);
        for spec in specs {
            self.path.push(spec.name.clone());
            let field = self.field(spec)?;
            if self.structs[place].fields.iter().any(|other| other.snake_case_name() == field.snake_case_name()) {
                return Err("a field of this name stands before".to_owned());
            }
            if place == 0 && field.map_key {
                return Err("a message's own field cannot be a map key".to_owned());
            }
            self.structs[place].fields.push(field);
            self.path.pop();
        }
        self.open.pop();
        check_tags(&self.structs[place])?;
        Ok(place)
    }

    fn field(&mut self, spec: &FieldSpec) -> Checked<Field> {
        check_name(&spec.name)?;
        if spec.versions.is_empty() {
            return Err("is in no version".to_owned());
        }
        let ty = self.resolve(&spec.type_name, spec)?;
        if !spec.nullable_versions.is_empty() && !ty.can_be_null() {
            return Err(format!("type {} cannot be null", spec.type_name));
        }
        if spec.flexible_versions.is_some() && !matches!(ty, Type::String | Type::Bytes) {
            return Err("only strings and bytes can have flexibleVersions of their own".to_owned());
        }
        if spec.zero_copy && ty != Type::Bytes {
            return Err("only bytes can be zeroCopy".to_owned());
        }
        check_entity(spec, &ty)?;
        Ok(Field {
            name: spec.name.clone(),
            about: spec.about.clone(),
            default: default(spec, &ty)?,
            tag: self.tag(spec, &ty)?,
            versions: spec.versions,
            nullable: spec.nullable_versions,
            flexible: spec.flexible_versions.unwrap_or(self.spec.flexible_versions),
            ignorable: spec.ignorable,
            map_key: spec.map_key,
            entity: spec.entity_type.clone(),
            ty,
        })
    }

    /// The type that a name stands for. A struct is defined by the field's own fields or among the common structs.
    fn resolve(&mut self, name: &str, spec: &FieldSpec) -> Checked<Type> {
        if let Some(element) = name.strip_prefix("[]") {
            if element.starts_with("[]") || element == "records" {
                return Err(format!("an array of {element} has no encoding"));
            }
            return Ok(Type::Array(Box::new(self.resolve(element, spec)?)));
        }
        if let Some(primitive) = primitive(name) {
            if !spec.fields.is_empty() {
                return Err(format!("type {name} cannot have fields"));
            }
            return Ok(primitive);
        }
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(format!("unknown type {name}"));
        }
        self.struct_type(name, spec).map(Type::Struct)
    }

    fn struct_type(&mut self, name: &str, spec: &FieldSpec) -> Checked<usize> {
        let common = self.spec.common_structs.iter().find(|common| common.name == name);
        match (common, spec.fields.is_empty()) {
            (Some(_), false) => Err(format!("struct {name} is defined here and among the common structs")),
            (Some(common), true) => match self.places.get(name) {
                Some(place) if self.open.contains(place) => Err(format!("struct {name} contains itself")),
                Some(&place) => Ok(place),
                None => self.define(name, common.versions, &common.fields),
            },
            (None, false) => self.define(name, spec.versions, &spec.fields),
            (None, true) => Err(format!("unknown type {name}: no fields here and no common struct of this name")),
        }
    }

    fn tag(&self, spec: &FieldSpec, ty: &Type) -> Checked<Option<Tag>> {
        let versions = spec.tagged_versions;
        let Some(number) = spec.tag else {
            return if versions.is_empty() { Ok(None) } else { Err("taggedVersions without a tag".to_owned()) };
        };
        let number = u32::try_from(number).map_err(|_| format!("bad tag {number}"))?;
        if versions.is_empty() {
            return Err(format!("tag {number} without taggedVersions"));
        }
        if spec.map_key {
            return Err("a map key cannot be tagged".to_owned());
        }
        if *ty == Type::Records {
            return Err("records cannot be tagged".to_owned());
        }
        if !versions.is_open() {
            return Err(format!("taggedVersions {versions} has an upper end"));
        }
        if !spec.versions.contains_all(versions) {
            return Err(format!("taggedVersions {versions} is not within versions {}", spec.versions));
        }
        for flexible in [self.spec.flexible_versions, spec.flexible_versions.unwrap_or(Versions::ALL)] {
            if !flexible.contains_all(versions) {
                return Err(format!("tagged in {versions}, but flexible only in {flexible}"));
            }
        }
        let nullable = spec.nullable_versions.intersect(versions);
        if !nullable.is_empty() && nullable != versions {
            return Err("either all tagged versions are nullable or none".to_owned());
        }
        Ok(Some(Tag { number, versions }))
    }
}

fn check_message(spec: &MessageSpec) -> Checked<()> {
    if spec.valid_versions.is_open() {
        return Err(format!("validVersions {} has no upper end", spec.valid_versions));
    }
    if !spec.flexible_versions.is_empty() && !spec.flexible_versions.is_open() {
        return Err(format!("flexibleVersions {} has an upper end", spec.flexible_versions));
    }
    if spec.api_key.is_none() && !matches!(spec.kind, MessageKind::Header | MessageKind::Data) {
        return Err("only headers and data go without an apiKey".to_owned());
    }
    if spec.kind == MessageKind::Request {
        return Ok(());
    }
    if !spec.listeners.is_empty() {
        return Err("only requests have listeners".to_owned());
    }
    if spec.latest_version_unstable {
        return Err("only a request's latest version can be unstable".to_owned());
    }
    Ok(())
}

fn check_name(name: &str) -> Checked<()> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    if good { Ok(()) } else { Err(format!("bad name {name:?}")) }
}

/// Tags count from 0 without a gap, each once.
fn check_tags(of: &Struct) -> Checked<()> {
    let mut tags: Vec<_> = of.fields.iter().filter_map(|field| Some((field.tag?.number, &field.name))).collect();
    tags.sort_unstable();
    for (expected, (number, name)) in tags.iter().enumerate() {
        if tags.iter().filter(|(other, _)| other == number).count() > 1 {
            return Err(format!("struct {}: tag {number} of {name} is used twice", of.name));
        }
        if usize::try_from(*number) != Ok(expected) {
            return Err(format!("struct {}: tag {number} of {name} leaves out {expected}", of.name));
        }
    }
    Ok(())
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "uint32" => Type::Uint32,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        _ => return None,
    })
}

fn check_entity(spec: &FieldSpec, ty: &Type) -> Checked<()> {
    let Some(entity) = &spec.entity_type else { return Ok(()) };
    let expected = match entity.as_str() {
        "unknown" => return Ok(()),
        "transactionalId" | "groupId" | "topicName" => Type::String,
        "producerId" => Type::Int64,
        "brokerId" => Type::Int32,
        other => return Err(format!("unknown entityType {other}")),
    };
    let element = match ty {
        Type::Array(element) => element,
        other => other,
    };
    if *element == expected {
        return Ok(());
    }
    Err(format!("entityType {entity} does not go with type {}", spec.type_name))
}

fn default(spec: &FieldSpec, ty: &Type) -> Checked<Default> {
    let Some(text) = spec.default.as_deref().filter(|text| !text.is_empty()) else { return Ok(Default::Empty) };
    if text == "null" && ty.can_be_null() {
        let everywhere = spec.nullable_versions.contains_all(spec.versions);
        return if everywhere {
            Ok(Default::Null)
        } else {
            Err("null by default, but not nullable in every version".into())
        };
    }
    let bad = || format!("bad default {text:?} for type {}", spec.type_name);
    match ty {
        Type::Bool => text.to_ascii_lowercase().parse().map(Default::Bool).map_err(|_| bad()),
        Type::Int8 => integer(text, i8::MIN.into(), i8::MAX.into()).ok_or_else(bad),
        Type::Int16 => integer(text, i16::MIN.into(), i16::MAX.into()).ok_or_else(bad),
        Type::Uint16 => integer(text, 0, u16::MAX.into()).ok_or_else(bad),
        Type::Int32 => integer(text, i32::MIN.into(), i32::MAX.into()).ok_or_else(bad),
        Type::Uint32 => integer(text, 0, u32::MAX.into()).ok_or_else(bad),
        Type::Int64 => integer(text, i64::MIN, i64::MAX).ok_or_else(bad),
        Type::Float64 => text.parse().map(Default::Float).map_err(|_| bad()),
        Type::String => Ok(Default::String(text.to_owned())),
        Type::Uuid | Type::Bytes | Type::Records | Type::Struct(_) | Type::Array(_) => Err(bad()),
    }
}

fn integer(text: &str, least: i64, most: i64) -> Option<Default> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let value = value.ok().filter(|value| (least..=most).contains(value))?;
    Some(if value == 0 { Default::Empty } else { Default::Int(value) })
}
