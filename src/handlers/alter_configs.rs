//! `AlterConfigs` (key 33).

use super::{
    alteration::{Asked, Op, alter},
    context::Context,
    refusal::Refusal,
};
use crate::protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_response::AlterConfigsResourceResponse,
};

/// Replaces all that is set.
pub async fn alter_configs(cx: &Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = request
        .resources
        .into_iter()
        .map(|resource| Asked {
            resource_type: resource.resource_type,
            name: resource.resource_name,
            configs: resource.configs.into_iter().map(|config| (config.name, Op::Set, config.value)).collect(),
            replaces: true,
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
    AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() }
}
