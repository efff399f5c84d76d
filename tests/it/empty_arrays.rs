//! CVE-2026-83525: a request with an empty array ended Apache Kafka's controller. Here every API is sent every array empty
//! that can be, at the top and within elements, in every version.

use crate::support::{TestBroker, header_bytes};
use ottla::{
    handlers::api::SUPPORTED,
    network::CloseKind,
    protocol::{
        messages::{ApiVersionsRequest, MetadataRequest},
        schemas::schemas,
    },
};
use ottla_codegen::{
    Message,
    interpret::{Value, default_struct, default_value, encode},
    model::Type,
    spec::MessageKind,
};

#[tokio::test]
async fn cve_2026_83525_empty_arrays_end_nothing() {
    let broker = TestBroker::start().await;
    let mut canary = broker.client().await;
    let closed = |kind| broker.server().network_counters().closed(kind);
    for api in SUPPORTED {
        let message = schemas().api(api.key.code(), MessageKind::Request).expect("it is served");
        for version in api.lowest..=api.highest {
            for body in bodies(message, version) {
                let mut client = broker.client().await;
                client.send_frame(&[&header_bytes(api.key, version, 1)[..], &body].concat()).await;
                client.finish_sending().await;
                client.ended().await;
                assert_eq!(closed(CloseKind::Panicked), 0, "{} v{version}: {body:02x?}", api.key.name());
            }
        }
        canary.call(&ApiVersionsRequest::default(), 0).await;
    }
    canary.call(&MetadataRequest::default(), 12).await;
}

/// The request with all arrays empty; then, for each array of structs in it, with one element there whose arrays are.
fn bodies(message: &Message, version: i16) -> Vec<Vec<u8>> {
    let Ok(Value::Struct(empty)) = default_value(message, version) else { return Vec::new() };
    let fields = message.structs[0].fields.iter().filter(|field| field.versions.contains(version));
    let mut requests = vec![empty.clone()];
    for (at, field) in fields.enumerate() {
        let Type::Array(element) = &field.ty else { continue };
        let Type::Struct(index) = **element else { continue };
        let element = default_struct(message, version, index).expect("the version exists");
        let mut request = empty.clone();
        request.fields[at] = Value::Array(vec![Value::Struct(element)]);
        requests.push(request);
    }
    requests.into_iter().map(|request| encode(message, version, &Value::Struct(request)).expect("valid")).collect()
}
