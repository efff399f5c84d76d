//! `DescribeUserScramCredentials` (key 50).

use super::context::Context;
use crate::protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

/// Placeholder of the skeleton.
pub async fn describe_user_scram_credentials(
    _cx: &Context,
    _request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    unimplemented!("placeholder of the skeleton")
}
