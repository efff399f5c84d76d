//! `ApiVersions` (key 18): what a client asks first.

use super::{
    api::{Answer, SUPPORTED},
    context::Context,
    sasl_authenticate::delay_failure,
};
use crate::{
    auth::session::Session,
    metadata::level::{METADATA_VERSION_FEATURE, MetadataLevel},
    network::Refusal,
    protocol::{
        error_code::ErrorCode,
        messages::{
            ApiKey, ApiVersionsRequest, ApiVersionsResponse,
            api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
        },
        transaction_version::{TRANSACTION_VERSION_FEATURE, TransactionVersion},
    },
};

/// The features whose levels records and protocols depend on, and the highest level that is supported of each.
const FEATURES: &[(&str, i16, i16)] = &[
    (METADATA_VERSION_FEATURE, MetadataLevel::LOWEST.number(), MetadataLevel::LATEST.number()),
    (TRANSACTION_VERSION_FEATURE, 0, TransactionVersion::LATEST.level()),
];

/// From this version on a feature that begins at level 0 can be named (KAFKA-17011).
const FEATURES_FROM_LEVEL_0: i16 = 4;

/// The node id of a client that names none. It names node and cluster, or neither.
const NO_NODE: i32 = -1;

/// Answers with the table that requests are dispatched by.
pub async fn api_versions(
    cx: &Context,
    session: &mut Session,
    request: ApiVersionsRequest,
) -> Answer<ApiVersionsResponse> {
    if session.expects_token() {
        delay_failure(cx, None).await;
        let reason = Refusal::new("ApiVersions in the middle of a SASL exchange");
        return Answer::Last(refusal(ErrorCode::IllegalSaslState), reason);
    }
    let response = versions(cx, request);
    if response.error_code == ErrorCode::None.code() {
        session.told_versions();
    }
    response.into()
}

fn versions(cx: &Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if cx.version >= 3 && !(is_software(&request.client_software_name) && is_software(&request.client_software_version))
    {
        return refusal(ErrorCode::InvalidRequest);
    }
    if request.cluster_id.is_some() != (request.node_id != NO_NODE) {
        return refusal(ErrorCode::InvalidRequest);
    }
    if is_for_another_broker(cx, &request) {
        return refusal(ErrorCode::RebootstrapRequired);
    }
    let image = cx.broker.image();
    let finalized =
        image.features().iter().filter(|(name, _)| is_served(name)).map(|(name, &level)| FinalizedFeatureKey {
            name: name.as_str().into(),
            max_version_level: level,
            min_version_level: level,
            ..FinalizedFeatureKey::default()
        });
    ApiVersionsResponse {
        api_keys: api_keys(),
        supported_features: supported_features(cx.version),
        finalized_features_epoch: image.offset(),
        finalized_features: finalized.collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The answer to a version of this API that is not known: version 0, the error, and the range that is (KIP-511).
#[must_use]
pub fn unsupported_version() -> ApiVersionsResponse {
    let own = api_keys().into_iter().filter(|api| api.api_key == ApiKey::ApiVersions.code());
    ApiVersionsResponse { api_keys: own.collect(), ..refusal(ErrorCode::UnsupportedVersion) }
}

fn refusal(error: ErrorCode) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: error.code(), ..ApiVersionsResponse::default() }
}

/// A client that names the cluster and the node it means has come to the wrong one (KIP-1242).
fn is_for_another_broker(cx: &Context, request: &ApiVersionsRequest) -> bool {
    let other_cluster = request.cluster_id.as_ref().is_some_and(|id| id != cx.broker.cluster_id());
    let other_node = request.node_id != NO_NODE && request.node_id != cx.broker.node_id();
    other_cluster || other_node
}

/// Letters and digits, with dots and dashes inside (`ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`).
/// A directory that Kafka wrote may have levels of features that are not served.
fn is_served(feature: &str) -> bool {
    FEATURES.iter().any(|(name, ..)| *name == feature)
}

fn is_software(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    is_end(text.chars().next()) && is_end(text.chars().last()) && text.chars().all(is_inner)
}

fn api_keys() -> Vec<ApiVersion> {
    let apis = SUPPORTED.iter().map(|api| ApiVersion {
        api_key: api.key.code(),
        min_version: api.lowest_advertised,
        max_version: api.highest,
        ..ApiVersion::default()
    });
    apis.collect()
}

fn supported_features(version: i16) -> Vec<SupportedFeatureKey> {
    let nameable = FEATURES.iter().filter(|(_, lowest, _)| *lowest > 0 || version >= FEATURES_FROM_LEVEL_0);
    let features = nameable.map(|&(name, min_version, max_version)| SupportedFeatureKey {
        name: name.into(),
        min_version,
        max_version,
        ..SupportedFeatureKey::default()
    });
    features.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_those_that_apache_kafka_accepts() {
        for good in ["librdkafka", "apache-kafka-java", "4.4.0", "a", "1"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".a", "a b", "a_b", "é"] {
            assert!(!is_software(bad), "{bad}");
        }
    }

    #[test]
    fn an_unknown_version_is_answered_with_the_known_ones() {
        let response = unsupported_version();
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
        assert_eq!(response.api_keys.iter().map(|api| api.api_key).collect::<Vec<_>>(), [18]);
    }
}
