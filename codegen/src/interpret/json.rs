//! Values to JSON and back, by the conventions of Kafka's `JsonConverter`.
//!
//! Reading is a little stricter and a little kinder than there: a field that the version lacks is an error unless it is
//! null or ignorable, so that a typing error does not pass unseen; numbers may stand in strings, in hexadecimal too.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde_json::{Map, Number, Value as Json};
use uuid::Uuid;

use super::{
    DEPTH_MAX, Layout, StructValue, UnknownTags, Value,
    encode::mismatch,
    error::{Fault, Reason},
    integer,
};
use crate::model::{Field, Type};

/// Written without padding, read with or without.
const UUID_TEXT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn to_json(layout: Layout<'_>, value: &Value) -> Result<Json, Fault> {
    write(layout, &Type::Struct(0), value)
}

pub(super) fn from_json(layout: Layout<'_>, json: &Json) -> Result<Value, Fault> {
    JsonReader { layout, depth: 0 }.structure(0, json)
}

fn write(layout: Layout<'_>, ty: &Type, value: &Value) -> Result<Json, Fault> {
    Ok(match (ty, value) {
        (ty, Value::Null) if ty.can_be_null() => Json::Null,
        (Type::Bool, Value::Bool(value)) => Json::Bool(*value),
        (Type::Float64, Value::Float(value)) => write_float(*value),
        (Type::Uuid, Value::Uuid(value)) => Json::String(UUID_TEXT.encode(value)),
        (Type::String, Value::String(value)) => Json::String(value.clone()),
        (Type::Bytes | Type::Records, Value::Bytes(value)) => Json::String(STANDARD.encode(value)),
        (Type::Struct(index), Value::Struct(value)) => write_struct(layout, *index, value)?,
        (Type::Array(element), Value::Array(values)) => write_elements(layout, element, values)?,
        (ty, Value::Int(value)) if integer(ty).is_some() => Json::Number((*value).into()),
        (ty, value) => return Err(mismatch(ty, value)),
    })
}

/// What JSON cannot express stands in a string, as Jackson writes it.
fn write_float(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::String("NaN".to_owned()),
        None if value > 0.0 => Json::String("Infinity".to_owned()),
        None => Json::String("-Infinity".to_owned()),
    }
}

fn write_struct(layout: Layout<'_>, index: usize, value: &StructValue) -> Result<Json, Fault> {
    let mut object = Map::new();
    for (field, value) in layout.pairs(index, value)? {
        if layout.tag(field).is_some() && *value == layout.default(field) {
            continue;
        }
        let name = field.camel_case_name();
        let json = write(layout, &field.ty, value).map_err(|fault| fault.in_field(&name))?;
        object.insert(name, json);
    }
    Ok(Json::Object(object))
}

fn write_elements(layout: Layout<'_>, ty: &Type, values: &[Value]) -> Result<Json, Fault> {
    let elements = values.iter().enumerate();
    elements
        .map(|(index, value)| write(layout, ty, value).map_err(|fault| fault.in_element(index)))
        .collect::<Result<_, _>>()
        .map(Json::Array)
}

#[derive(Clone, Copy)]
struct JsonReader<'a> {
    layout: Layout<'a>,
    /// Structs around the one at hand.
    depth: usize,
}

impl JsonReader<'_> {
    fn structure(self, index: usize, json: &Json) -> Result<Value, Fault> {
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(Reason::TooDeep));
        }
        let inner = Self { depth: self.depth + 1, ..self };
        let object = json.as_object().ok_or_else(|| unexpected("an object", json))?;
        self.refuse_strangers(index, object)?;
        let fields = self.layout.fields(index).map(|field| {
            let name = field.camel_case_name();
            inner.field(field, object.get(&name)).map_err(|fault| fault.in_field(&name))
        });
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Value::Struct(StructValue { fields, unknown: UnknownTags::default() }))
    }

    /// Finds names that are no field of this version.
    fn refuse_strangers(self, index: usize, object: &Map<String, Json>) -> Result<(), Fault> {
        let names: Vec<_> = self.layout.fields(index).map(Field::camel_case_name).collect();
        let droppable = |name: &str| {
            let absent = self.layout.absent_fields(index).find(|field| field.camel_case_name() == name);
            absent.is_some_and(|field| field.ignorable || object[name].is_null())
        };
        match object.keys().find(|name| !names.contains(name) && !droppable(name)) {
            Some(name) => Err(Fault::new(Reason::NoSuchField(names)).in_field(name)),
            None => Ok(()),
        }
    }

    fn field(self, field: &Field, json: Option<&Json>) -> Result<Value, Fault> {
        match json {
            None if self.layout.tag(field).is_some() => Ok(self.layout.default(field)),
            None => Err(Fault::new(Reason::Missing)),
            Some(Json::Null) if self.layout.is_nullable(field) => Ok(Value::Null),
            Some(Json::Null) => Err(Fault::new(Reason::Null)),
            Some(json) => self.value(&field.ty, json),
        }
    }

    fn value(self, ty: &Type, json: &Json) -> Result<Value, Fault> {
        match ty {
            Type::Bool => json.as_bool().map(Value::Bool).ok_or_else(|| unexpected("a boolean", json)),
            Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => read_int(ty, json),
            Type::Float64 => read_float(json),
            Type::Uuid => read_uuid(text(json)?),
            Type::String => Ok(Value::String(text(json)?.to_owned())),
            Type::Bytes | Type::Records => read_bytes(text(json)?),
            Type::Struct(index) => self.structure(*index, json),
            Type::Array(element) => self.elements(element, json),
        }
    }

    fn elements(self, ty: &Type, json: &Json) -> Result<Value, Fault> {
        let elements = json.as_array().ok_or_else(|| unexpected("an array", json))?.iter().enumerate();
        elements
            .map(|(index, json)| self.value(ty, json).map_err(|fault| fault.in_element(index)))
            .collect::<Result<_, _>>()
            .map(Value::Array)
    }
}

fn read_int(ty: &Type, json: &Json) -> Result<Value, Fault> {
    let (_, least, greatest) = integer(ty).ok_or_else(|| unexpected(ty.name(), json))?;
    let out_of_range = |value: String| Fault::new(Reason::OutOfRange { value, ty: ty.name() });
    let value = match json {
        Json::Number(number) if number.is_u64() || number.is_i64() => {
            number.as_i64().ok_or_else(|| out_of_range(number.to_string()))?
        }
        Json::String(text) => parse_int(text).ok_or_else(|| bad_text(text, "an integer"))?,
        json => return Err(unexpected("an integer", json)),
    };
    if (least..=greatest).contains(&value) { Ok(Value::Int(value)) } else { Err(out_of_range(value.to_string())) }
}

fn parse_int(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn read_float(json: &Json) -> Result<Value, Fault> {
    match json {
        Json::Number(number) => number.as_f64().map(Value::Float).ok_or_else(|| unexpected("a float", json)),
        Json::String(text) => text.parse().map(Value::Float).map_err(|_| bad_text(text, "a float")),
        json => Err(unexpected("a float", json)),
    }
}

fn read_uuid(text: &str) -> Result<Value, Fault> {
    let bytes = UUID_TEXT.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.map(|bytes| Value::Uuid(Uuid::from_bytes(bytes))).ok_or_else(|| bad_text(text, "16 bytes in URL-safe base64"))
}

fn read_bytes(text: &str) -> Result<Value, Fault> {
    STANDARD.decode(text).map(Value::Bytes).map_err(|_| bad_text(text, "base64"))
}

fn text(json: &Json) -> Result<&str, Fault> {
    json.as_str().ok_or_else(|| unexpected("a string", json))
}

fn bad_text(text: &str, expected: &'static str) -> Fault {
    Fault::new(Reason::BadText { text: text.to_owned(), expected })
}

fn unexpected(expected: &'static str, json: &Json) -> Fault {
    let got = match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    Fault::new(Reason::Mismatch { expected, got })
}
