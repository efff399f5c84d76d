//! Answers to requests that are not served: UNSUPPORTED_VERSION in the shape of the response that the client waits for.
//!
//! The shape comes from the schemas alone. Where the error stands beside each thing asked for, the request is read too,
//! and every element of it gets its error. Where no schema describes the response, the error code is all there is.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;
use ottla_codegen::{
    Message,
    interpret::{self, StructValue, Value},
    model::{Field, Type},
    spec::MessageKind,
};

use crate::{
    network::{Refusal, Reply},
    protocol::{
        error_code::ErrorCode,
        frame::{Frame, SIZE_PREFIX},
        message::Message as _,
        messages::{ApiKey, ResponseHeader},
        schemas::schemas,
        wire::{EncodeError, Writer},
    },
};

/// Where a response says what went wrong.
const ERROR_CODE: &str = "ErrorCode";
/// Requests up to this size are read for what they ask; the interpreting codec takes many times that in memory.
const INTERPRETED_BYTES_MAX: usize = 64 << 10;

/// Answers a request of a version, or of an API, that is not served. `body` is what follows the header.
pub fn reply(correlation_id: i32, key: ApiKey, version: i16, body: &Bytes) -> Result<Reply, Refusal> {
    let (header_version, response) = match refusal(key, version, body) {
        Some(response) => (key.response_header_version(version), response),
        None => (0, ErrorCode::UnsupportedVersion.code().to_be_bytes().to_vec()),
    };
    let header = response_header(correlation_id, header_version).map_err(Refusal::because)?;
    let frame = [&[0; SIZE_PREFIX], &header[..], &response].concat();
    Frame::new(frame, Vec::new()).map(Reply::Ready).map_err(Refusal::because)
}

fn response_header(correlation_id: i32, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    ResponseHeader { correlation_id, ..ResponseHeader::default() }.encode(&mut w, version)?;
    Ok(w.into_bytes())
}

/// The response's bytes, if a schema describes it.
fn refusal(key: ApiKey, version: i16, body: &Bytes) -> Option<Vec<u8>> {
    let response = schemas().api(key.code(), MessageKind::Response).filter(|m| m.versions.contains(version))?;
    let request = schemas().api(key.code(), MessageKind::Request);
    let asked = request.and_then(|request| read(request, version, body));
    let refused = Refused { response, request, version };
    let value = refused.with_error(0, interpret::default_struct(response, version, 0).ok()?, 0, asked.as_ref());
    interpret::encode(response, version, &Value::Struct(value)).ok()
}

fn read(request: &Message, version: i16, body: &Bytes) -> Option<StructValue> {
    if body.len() > INTERPRETED_BYTES_MAX || !request.versions.contains(version) {
        return None;
    }
    match interpret::decode(request, version, body).ok()? {
        (Value::Struct(asked), _) => Some(asked),
        _ => None,
    }
}

/// A response to be filled with errors, and what it answers.
#[derive(Clone, Copy)]
struct Refused<'a> {
    response: &'a Message,
    request: Option<&'a Message>,
    version: i16,
}

impl Refused<'_> {
    /// Puts the error where struct `index` of the response has it: into its own field, else into one element for each
    /// thing that struct `asked_index` of the request asks for.
    fn with_error(
        self,
        index: usize,
        mut answer: StructValue,
        asked_index: usize,
        asked: Option<&StructValue>,
    ) -> StructValue {
        let fields = || self.fields(self.response, index);
        if let Some((_, code)) = fields().zip(&mut answer.fields).find(|(field, _)| field.name == ERROR_CODE) {
            *code = Value::Int(ErrorCode::UnsupportedVersion.code().into());
            return answer;
        }
        let array = fields().zip(&mut answer.fields).find_map(|(field, value)| {
            let element = field.ty.element_struct()?;
            self.leads_to_error(element).then_some((value, field.name.as_str(), element))
        });
        if let (Some((value, name, element)), Some(asked)) = (array, asked) {
            *value = Value::Array(self.elements(element, name, asked_index, asked));
        }
        answer
    }

    /// The fields of struct `index` of a message, as far as the version has them.
    fn fields(self, message: &Message, index: usize) -> impl Iterator<Item = &Field> {
        message.structs.get(index).into_iter().flat_map(move |fields| fields.fields_in(self.version))
    }

    /// Whether an error code is in the struct or below it.
    fn leads_to_error(self, index: usize) -> bool {
        self.fields(self.response, index).any(|field| {
            field.name == ERROR_CODE || field.ty.element_struct().is_some_and(|element| self.leads_to_error(element))
        })
    }

    /// An element for each in the request's array of this name, or else in its first.
    fn elements(self, element: usize, name: &str, asked_index: usize, asked: &StructValue) -> Vec<Value> {
        let Some(request) = self.request else { return Vec::new() };
        let fields = self.fields(request, asked_index).zip(&asked.fields);
        let arrays: Vec<_> = fields
            .filter_map(|(field, value)| match value {
                Value::Array(elements) => Some((field, elements)),
                _ => None,
            })
            .collect();
        let Some((field, asked)) = arrays.iter().find(|(field, _)| field.name == name).or_else(|| arrays.first())
        else {
            return Vec::new();
        };
        asked.iter().filter_map(|asked| self.element(element, field, asked)).map(Value::Struct).collect()
    }

    /// An element about `asked`: what both call by the same name is the same in both.
    fn element(self, index: usize, asked_field: &Field, asked: &Value) -> Option<StructValue> {
        let mut element = interpret::default_struct(self.response, self.version, index).ok()?;
        let request = self.request?;
        match (asked, asked_field.ty.element_struct()) {
            (Value::Struct(asked), Some(asked_index)) => {
                for (field, value) in self.fields(self.response, index).zip(&mut element.fields) {
                    let mut asked_fields = self.fields(request, asked_index).zip(&asked.fields);
                    let same = asked_fields.find(|(other, _)| other.name == field.name && other.ty == field.ty);
                    if let Some((_, same)) = same.filter(|(_, same)| !matches!(same, Value::Array(_))) {
                        *value = same.clone();
                    }
                }
                Some(self.with_error(index, element, asked_index, Some(asked)))
            }
            // A list of names or numbers: the first field of its type is the element's key.
            (key, _) => {
                let mut fields = self.fields(self.response, index).zip(&mut element.fields);
                let asked_type = match &asked_field.ty {
                    Type::Array(element) => element.as_ref(),
                    other => other,
                };
                let is_key = |field: &Field| field.ty == *asked_type && field.name != ERROR_CODE;
                let (_, value) = fields.find(|(field, _)| is_key(field))?;
                *value = key.clone();
                Some(self.with_error(index, element, 0, None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The refusal of a request, as JSON.
    fn refused(key: ApiKey, version: i16, request: &serde_json::Value) -> serde_json::Value {
        let message = schemas().api(key.code(), MessageKind::Request).expect("known");
        let value = interpret::from_json(message, version, request).expect("a request");
        let body = interpret::encode(message, version, &value).expect("a request").into();
        let bytes = refusal(key, version, &body).expect("described");
        let response = schemas().api(key.code(), MessageKind::Response).expect("known");
        let (value, used) = interpret::decode(response, version, &bytes).expect("well-formed");
        assert_eq!(used, bytes.len());
        interpret::to_json(response, version, &value).expect("printable")
    }

    #[test]
    fn an_error_at_the_top_is_set_there() {
        let response = refused(ApiKey::ListGroups, 4, &json!({"statesFilter": []}));
        assert_eq!(response, json!({"throttleTimeMs": 0, "errorCode": 35, "groups": []}));
    }

    #[test]
    fn an_error_of_each_thing_asked_for_is_set_for_each() {
        let request = json!({"groupId": "g", "generationIdOrMemberEpoch": 1, "memberId": "m", "retentionTimeMs": -1,
            "topics": [{"name": "a", "partitions": [
                {"partitionIndex": 3, "committedOffset": 7, "committedMetadata": null},
                {"partitionIndex": 5, "committedOffset": 7, "committedMetadata": null}]}]});
        let response = refused(ApiKey::OffsetCommit, 2, &request);
        let partitions = json!([{"partitionIndex": 3, "errorCode": 35}, {"partitionIndex": 5, "errorCode": 35}]);
        assert_eq!(response, json!({"topics": [{"name": "a", "partitions": partitions}]}));
        let response = refused(ApiKey::DeleteGroups, 0, &json!({"groupsNames": ["g", "h"]}));
        let results = json!([{"groupId": "g", "errorCode": 35}, {"groupId": "h", "errorCode": 35}]);
        assert_eq!(response, json!({"throttleTimeMs": 0, "results": results}));
    }

    #[test]
    fn what_no_schema_describes_is_refused_with_the_code_alone() {
        assert_eq!(refusal(ApiKey::Produce, 2, &Bytes::new()), None);
        let Ok(Reply::Ready(frame)) = reply(7, ApiKey::Produce, 2, &Bytes::new()) else { panic!("an answer") };
        assert_eq!(frame.len(), 4 + 4 + 2);
    }

    #[test]
    fn every_known_version_of_every_api_can_be_refused() {
        for key in ApiKey::ALL {
            let Some(response) = schemas().api(key.code(), MessageKind::Response) else { continue };
            for version in response.versions.iter() {
                assert!(refusal(*key, version, &Bytes::new()).is_some(), "{} v{version}", key.name());
            }
        }
    }
}
