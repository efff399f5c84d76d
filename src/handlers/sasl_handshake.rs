//! `SaslHandshake` (key 17): the client chooses a mechanism.

use super::{api::Answer, context::Context, sasl_authenticate::delay_failure};
use crate::{
    auth::session::{Handshake, Session},
    clock,
    config::key,
    network::Refusal,
    protocol::{
        error_code::ErrorCode,
        messages::{SaslHandshakeRequest, SaslHandshakeResponse},
    },
};

/// How many characters of a mechanism a line of the log has.
const MECHANISM_LOGGED_MAX: usize = 50;

/// After version 0 tokens come as frames of their own, after version 1 in `SaslAuthenticate`.
pub async fn sasl_handshake(
    cx: &Context,
    session: &mut Session,
    request: SaslHandshakeRequest,
) -> Answer<SaslHandshakeResponse> {
    match session.handshake(cx.version, &request.mechanism, clock::monotonic()) {
        Handshake::Begun => answer(ErrorCode::None, session).into(),
        Handshake::NotNeeded => refusal(ErrorCode::IllegalSaslState).into(),
        Handshake::InExchange => {
            delay_failure(cx, None).await;
            Answer::Last(
                refusal(ErrorCode::IllegalSaslState),
                Refusal::new("SaslHandshake in the middle of an exchange"),
            )
        }
        Handshake::NoSuchMechanism => {
            delay_failure(cx, None).await;
            let enabled: Vec<_> = session.mechanisms().iter().map(|mechanism| mechanism.name()).collect();
            let reason = format!(
                "authentication failed: the client wants the SASL mechanism {:?}; sasl.enabled.mechanisms of this listener \
                 has {}",
                key::line(&request.mechanism, MECHANISM_LOGGED_MAX),
                enabled.join(", ")
            );
            Answer::Last(answer(ErrorCode::UnsupportedSaslMechanism, session), Refusal::new(reason))
        }
    }
}

fn answer(error: ErrorCode, session: &Session) -> SaslHandshakeResponse {
    let mechanisms = session.mechanisms().iter().map(|mechanism| mechanism.name().into()).collect();
    SaslHandshakeResponse { error_code: error.code(), mechanisms }
}

fn refusal(error: ErrorCode) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: error.code(), ..SaslHandshakeResponse::default() }
}
