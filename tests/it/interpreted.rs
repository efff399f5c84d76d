//! Requests and answers as JSON, in Kafka's own names, by the codec that interprets the schemas: for tables of cases over
//! all APIs. What is left out has its default.

use ottla::protocol::{messages::ApiKey, schemas::schemas};
use ottla_codegen::{
    interpret::{self, Value},
    model::{Field, Message},
    spec::MessageKind,
};
use serde_json::{Map, Value as Json, json};

use crate::support::RawClient;

/// A message with all that is left out.
fn value(message: &Message, version: i16, json: &Json) -> Value {
    let whole = completed(message, version, 0, json);
    interpret::from_json(message, version, &whole).unwrap_or_else(|error| panic!("{error}: {whole}"))
}

fn completed(message: &Message, version: i16, index: usize, json: &Json) -> Json {
    let mut object = json.as_object().unwrap_or_else(|| panic!("no object: {json}")).clone();
    let defaults = interpret::default_struct(message, version, index).expect("a version that there is");
    for (field, default) in message.structs[index].fields_in(version).zip(&defaults.fields) {
        let name = field.camel_case_name();
        match object.get_mut(&name) {
            None => drop(object.insert(name, plain(message, version, field, default))),
            Some(given) => complete_elements(message, version, field, given),
        }
    }
    Json::Object(object)
}

fn complete_elements(message: &Message, version: i16, field: &Field, given: &mut Json) {
    if let (Some(element), Some(elements)) = (field.ty.element_struct(), given.as_array_mut()) {
        elements.iter_mut().for_each(|json| *json = completed(message, version, element, json));
    }
}

fn plain(message: &Message, version: i16, field: &Field, default: &Value) -> Json {
    match default {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Uuid(_) => json!("AAAAAAAAAAAAAAAAAAAAAA"),
        Value::String(value) => json!(value),
        Value::Bytes(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Struct(_) => match field.ty {
            ottla_codegen::model::Type::Struct(index) => completed(message, version, index, &Json::Object(Map::new())),
            _ => unreachable!("a struct is of a type of structs"),
        },
    }
}

fn message(key: ApiKey, kind: MessageKind) -> &'static Message {
    schemas().api(key.code(), kind).expect("an API with schemas")
}

/// The body of a request.
pub(crate) fn request_body(key: ApiKey, version: i16, request: &Json) -> Vec<u8> {
    let message = message(key, MessageKind::Request);
    interpret::encode(message, version, &value(message, version, request)).expect("a request")
}

/// An answer with all that is left out, as [`RawClient::ask`] has it.
pub(crate) fn whole_answer(key: ApiKey, version: i16, answer: &Json) -> Json {
    let message = message(key, MessageKind::Response);
    interpret::to_json(message, version, &value(message, version, answer)).expect("printable")
}

impl RawClient {
    /// Asks, and returns the whole answer.
    pub(crate) async fn ask(&mut self, key: ApiKey, version: i16, request: &Json) -> Json {
        let body = request_body(key, version, request);
        let answer = self.call_bytes(key, version, &body, key.response_header_version(version)).await;
        let message = message(key, MessageKind::Response);
        let (value, used) = interpret::decode(message, version, &answer).expect("an answer");
        assert_eq!(used, answer.len(), "bytes are left of the answer of {}", key.name());
        interpret::to_json(message, version, &value).expect("printable")
    }
}
