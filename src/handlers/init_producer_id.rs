//! `InitProducerId` (key 22): an id for an idempotent producer.

use super::{context::Context, errors};
use crate::{
    auth::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        messages::{InitProducerIdRequest, InitProducerIdResponse},
    },
};

/// Answers with a new id in epoch 0. Producers with a transactional id need a coordinator, which there is not yet.
pub async fn init_producer_id(cx: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let new = async {
        if let Some(transactional_id) = &request.transactional_id {
            let is_id = !transactional_id.is_empty();
            return Err(if is_id { ErrorCode::UnsupportedVersion } else { ErrorCode::InvalidRequest });
        }
        let allowed = cx.authorize(Operation::IdempotentWrite, Resource::Cluster);
        allowed.map_err(|_| ErrorCode::ClusterAuthorizationFailed)?;
        cx.broker.new_producer_id().await.map_err(|error| errors::producer_id(&error))
    };
    match new.await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}
