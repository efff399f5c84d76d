//! Requests and answers as JSON, in Kafka's own names, by the codec that interprets the schemas: for tables of cases over
//! all APIs. What is left out has its default.

use ottla::protocol::{
    message::Message as _,
    messages::{ApiKey, ResponseHeader},
    schemas::schemas,
    wire::Reader,
};
use ottla_codegen::{
    interpret::{self, Value},
    model::{Field, Message, Type},
    spec::MessageKind,
};
use serde_json::{Map, Value as Json, json};

use crate::support::{RawClient, header_bytes};

/// The id that stands for none.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

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
        Value::Uuid(_) => json!(NO_ID),
        Value::String(value) => json!(value),
        Value::Bytes(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Struct(_) => match field.ty {
            Type::Struct(index) => completed(message, version, index, &Json::Object(Map::new())),
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

/// A request that names `text` wherever it names something, with one thing in every list; what `given` has by its field's
/// name is as it says.
pub(crate) fn request_naming(key: ApiKey, version: i16, text: &str, given: &Map<String, Json>) -> Json {
    naming(message(key, MessageKind::Request), version, 0, text, given)
}

fn naming(message: &Message, version: i16, index: usize, text: &str, given: &Map<String, Json>) -> Json {
    let fields = message.structs[index].fields_in(version).filter_map(|field| {
        let name = field.camel_case_name();
        let value = match (given.get(&name), &field.ty) {
            (Some(given), _) => given.clone(),
            (None, Type::String) => json!(text),
            (None, Type::Array(element)) => match **element {
                Type::Struct(element) => json!([naming(message, version, element, text, given)]),
                Type::String => json!([text]),
                Type::Uuid => json!([NO_ID]),
                _ => json!([0]),
            },
            (None, _) => return None,
        };
        Some((name, value))
    });
    Json::Object(fields.collect())
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
        answer_json(key, version, &answer)
    }

    /// The same of a connection that may end instead.
    pub(crate) async fn try_ask(&mut self, key: ApiKey, version: i16, request: &Json) -> Option<Json> {
        let body = request_body(key, version, request);
        self.send_frame(&[&header_bytes(key, version, 1)[..], &body].concat()).await;
        let frame = self.try_receive_frame().await?;
        let mut r = Reader::new(&frame);
        ResponseHeader::decode(&mut r, key.response_header_version(version)).expect("a response header");
        Some(answer_json(key, version, &frame[r.position()..]))
    }
}

fn answer_json(key: ApiKey, version: i16, answer: &[u8]) -> Json {
    let message = message(key, MessageKind::Response);
    let (value, used) = interpret::decode(message, version, answer).expect("an answer");
    assert_eq!(used, answer.len(), "bytes are left of the answer of {}", key.name());
    interpret::to_json(message, version, &value).expect("printable")
}
