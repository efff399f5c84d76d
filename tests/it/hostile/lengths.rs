//! Lengths that are more than what follows, and texts that are none, wherever a request has one.

use ottla::{
    handlers::api::SUPPORTED,
    network::CloseKind,
    protocol::{messages::ApiKey, schemas::schemas},
};
use ottla_codegen::{
    model::{Message, Type},
    spec::MessageKind,
};
use serde_json::{Value as Json, json};

use super::{Ends, Row, Scene, request, row};
use crate::interpreted::request_body;

/// A field of a request, by two requests that differ in it alone: empty, and with one thing in it.
struct Place {
    name: String,
    is_text: bool,
    empty: Json,
    filled: Json,
    /// If it is an array: one with more in it than a request may list.
    many: Option<Json>,
}

/// The most elements of a request, where that is tried.
const ELEMENTS_MAX: usize = 10;

/// All places of a message that have a length in front, however deep.
fn places(message: &Message, version: i16, index: usize, name: &str, around: &dyn Fn(Json) -> Json) -> Vec<Place> {
    let mut places = Vec::new();
    let fields = message.structs[index].fields_in(version);
    for field in fields.filter(|field| !field.tagged_versions().contains(version)) {
        let own = field.camel_case_name();
        let with = |value: Json| around(json!({ own.as_str(): value }));
        let name = format!("{name}.{own}");
        let one = match &field.ty {
            Type::String => json!("a"),
            Type::Bytes | Type::Records => json!("AA=="),
            Type::Array(element) => match **element {
                Type::Struct(_) => json!([{}]),
                Type::String => json!(["a"]),
                Type::Uuid => json!(["AAAAAAAAAAAAAAAAAAAAAA"]),
                _ => json!([0]),
            },
            _ => continue,
        };
        let none = if one.is_array() { json!([]) } else { json!("") };
        let many = one.as_array().map(|one| with(Json::from(vec![one[0].clone(); ELEMENTS_MAX + 1])));
        let is_text = field.ty == Type::String;
        places.push(Place { name: name.clone(), is_text, empty: with(none), filled: with(one), many });
        if let Some(element) = field.ty.element_struct() {
            places.extend(self::places(message, version, element, &name, &|inner| with(json!([inner]))));
        }
    }
    places
}

/// Requests in which one length is more than what follows, or one text is no UTF-8.
fn lying(key: ApiKey, version: i16, place: &Place) -> Vec<Row> {
    let [empty, filled] = [&place.empty, &place.filled].map(|json| request_body(key, version, json));
    let at = empty.iter().zip(&filled).position(|(empty, filled)| empty != filled).expect("lengths that differ");
    // A compact length is one more than what it counts; any other stands in as many bytes as it takes, the last of which
    // differs.
    let is_compact = key.request_header_version(version) >= 2;
    let (start, lie): (_, &[u8]) = match (is_compact, place.is_text) {
        (true, _) => (at, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (false, true) => (at - 1, &[0x7f, 0xff]),
        (false, false) => (at - 3, &[0x7f, 0xff, 0xff, 0xff]),
    };
    let name = format!("{} v{version} {}", key.name(), place.name);
    let body = [&filled[..start], lie, &filled[at + 1..]].concat();
    let mut rows = vec![row(format!("{name} is too long"), request(key, version, &body), Ends)];
    if place.is_text {
        let mut body = filled;
        body[at + 1] = 0xff;
        rows.push(row(format!("{name} is no text"), request(key, version, &body), Ends));
    }
    rows
}

/// Every array, text and blob of every API, in its first version and its last.
#[tokio::test]
async fn every_length_and_text_lies() {
    let mut rows = Vec::new();
    for api in SUPPORTED {
        let message = schemas().api(api.key.code(), MessageKind::Request).expect("it is served");
        for version in [api.lowest, api.highest] {
            let places = places(message, version, 0, "", &|json| json);
            rows.extend(places.iter().flat_map(|place| lying(api.key, version, place)));
        }
    }
    let count = Scene::new().await.plays(rows).await;
    assert!(count >= 350, "{count}");
}

/// Every array of every API, in its first version and its last.
#[tokio::test]
async fn every_array_lists_too_much() {
    let mut rows = Vec::new();
    for api in SUPPORTED {
        let message = schemas().api(api.key.code(), MessageKind::Request).expect("it is served");
        for version in [api.lowest, api.highest] {
            for Place { name, many, .. } in places(message, version, 0, "", &|json| json) {
                let Some(many) = many else { continue };
                let body = request_body(api.key, version, &many);
                rows.push(row(format!("{} v{version} {name}", api.key.name()), request(api.key, version, &body), Ends));
            }
        }
    }
    let mut scene = Scene::with(&[&format!("ottla.request.elements.max={ELEMENTS_MAX}")]).await;
    let count = scene.plays(rows).await;
    assert!(count >= 100, "{count}");
    let refused = scene.broker.server().network_counters().closed(CloseKind::Refused);
    assert_eq!(usize::try_from(refused), Ok(count));
}
