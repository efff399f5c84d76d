//! `IncrementalAlterConfigs` (key 44).

use super::{
    alteration::{Asked, alter},
    context::Context,
    refusal::Refusal,
};
use crate::protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_response::AlterConfigsResourceResponse,
};

/// Edits what is set, key by key.
pub async fn incremental_alter_configs(
    cx: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let asked = request
        .resources
        .into_iter()
        .map(|resource| Asked {
            resource_type: resource.resource_type,
            name: resource.resource_name,
            configs: resource
                .configs
                .into_iter()
                .map(|config| (config.name, config.config_operation.into(), config.value))
                .collect(),
            replaces: false,
        })
        .collect();
    let answered = alter(cx, asked, request.validate_only).await;
    let responses = answered.into_iter().map(|(asked, outcome)| {
        let (error_code, error_message) = Refusal::answer(outcome);
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.name,
            ..AlterConfigsResourceResponse::default()
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..IncrementalAlterConfigsResponse::default() }
}
