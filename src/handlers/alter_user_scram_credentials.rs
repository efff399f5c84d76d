//! `AlterUserScramCredentials` (key 51).

use super::context::Context;
use crate::protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};

/// Placeholder of the skeleton.
pub async fn alter_user_scram_credentials(
    _cx: &Context,
    _request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    unimplemented!("placeholder of the skeleton")
}
