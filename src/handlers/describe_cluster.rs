//! `DescribeCluster` (key 60).

use super::{context::Context, metadata::cluster_operations};
use crate::protocol::{
    error_code::ErrorCode,
    messages::{DescribeClusterRequest, DescribeClusterResponse, describe_cluster_response::DescribeClusterBroker},
};

/// The endpoint type of brokers; the other one, 2, is that of controllers.
const BROKERS: i8 = 1;

/// Answers with this broker.
pub async fn describe_cluster(cx: &Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return wrong_endpoint(request.endpoint_type);
    }
    let (host, port) = cx.advertised();
    let node_id = cx.broker.node_id();
    let mut response = DescribeClusterResponse {
        cluster_id: cx.broker.cluster_id().into(),
        controller_id: node_id,
        brokers: vec![DescribeClusterBroker { broker_id: node_id, host, port, ..DescribeClusterBroker::default() }],
        ..DescribeClusterResponse::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = cluster_operations(cx);
    }
    response
}

fn wrong_endpoint(endpoint_type: i8) -> DescribeClusterResponse {
    let (error, message) = if endpoint_type == 2 {
        (ErrorCode::MismatchedEndpointType, "This is a listener of a broker, not of a controller.".to_owned())
    } else {
        (ErrorCode::UnsupportedEndpointType, format!("Endpoint type {endpoint_type} is not known."))
    };
    DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        ..DescribeClusterResponse::default()
    }
}
