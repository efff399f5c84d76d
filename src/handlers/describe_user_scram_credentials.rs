//! `DescribeUserScramCredentials` (key 50).

use super::{config_resources::refusal_of_all, context::Context, refusal::Refusal, repeated::each_once};
use crate::{
    auth::authorizer::{Operation, Resource},
    metadata::image::Image,
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
            describe_user_scram_credentials_request::UserName,
            describe_user_scram_credentials_response::{CredentialInfo, DescribeUserScramCredentialsResult},
        },
        wire::StrBytes,
    },
};

/// What success says beside its code: Kafka has no null here.
const NO_MESSAGE: StrBytes = StrBytes::from_static("");

/// Says of which mechanisms users have credentials, of all where none is named. Never salts or keys.
pub async fn describe_user_scram_credentials(
    cx: &Context,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let named = request.users.unwrap_or_default();
    if cx.authorize(Operation::Describe, Resource::Cluster).is_err() {
        return denied(named.len());
    }
    if let Some(refusal) = refusal_of_all(named.len()) {
        let (error_code, error_message) = Refusal::answer(Err(refusal));
        return DescribeUserScramCredentialsResponse {
            error_code,
            error_message,
            ..DescribeUserScramCredentialsResponse::default()
        };
    }
    let image = cx.broker.image();
    let results = cx.heavy_work().run(move || describe(&image, &named)).await;
    DescribeUserScramCredentialsResponse {
        error_message: Some(NO_MESSAGE),
        results,
        ..DescribeUserScramCredentialsResponse::default()
    }
}

/// As Kafka has it: one result for each name, without the name.
fn denied(count: usize) -> DescribeUserScramCredentialsResponse {
    let error_code = ErrorCode::ClusterAuthorizationFailed.code();
    let result = DescribeUserScramCredentialsResult {
        error_code,
        error_message: None,
        ..DescribeUserScramCredentialsResult::default()
    };
    DescribeUserScramCredentialsResponse {
        error_code,
        error_message: None,
        results: vec![result; count],
        ..DescribeUserScramCredentialsResponse::default()
    }
}

fn describe(image: &Image, named: &[UserName]) -> Vec<DescribeUserScramCredentialsResult> {
    if named.is_empty() {
        return image.users().iter().map(|(user, _)| found(image, user.as_ref().into())).collect();
    }
    let named = each_once(named, |user| &user.name).into_iter();
    named.map(|(user, is_repeated)| answer(image, user.name.clone(), is_repeated)).collect()
}

fn answer(image: &Image, user: StrBytes, is_repeated: bool) -> DescribeUserScramCredentialsResult {
    if is_repeated {
        let message = format!("Cannot describe SCRAM credentials for the same user twice in a single request: {user}");
        return refused(user, Refusal::new(ErrorCode::DuplicateResource, message));
    }
    if image.users().credentials(&user).is_none() {
        let message = format!("Attempt to describe a user credential that does not exist: {user}");
        return refused(user, Refusal::new(ErrorCode::ResourceNotFound, message));
    }
    found(image, user)
}

fn refused(user: StrBytes, refusal: Refusal) -> DescribeUserScramCredentialsResult {
    let (error_code, error_message) = Refusal::answer(Err(refusal));
    DescribeUserScramCredentialsResult { user, error_code, error_message, ..Default::default() }
}

fn found(image: &Image, user: StrBytes) -> DescribeUserScramCredentialsResult {
    let credentials = image.users().credentials(&user).into_iter().flatten();
    let infos = credentials.map(|(mechanism, credential)| CredentialInfo {
        mechanism: mechanism.code(),
        iterations: i32::try_from(credential.iterations).unwrap_or(i32::MAX),
        ..CredentialInfo::default()
    });
    let credential_infos = infos.collect();
    DescribeUserScramCredentialsResult { user, error_message: Some(NO_MESSAGE), credential_infos, ..Default::default() }
}
