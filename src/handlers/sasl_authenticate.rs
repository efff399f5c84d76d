//! `SaslAuthenticate` (key 36), and the raw tokens that come in its place after version 0 of `SaslHandshake`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{api::Answer, context::Context};
use crate::{
    auth::{
        conversation::{Conversation, Credentials, SaslFailure, Step},
        failures::Attempt,
        session::{Session, Verdict},
    },
    clock,
    config::key,
    network::{Refusal, Reply},
    protocol::{
        error_code::ErrorCode,
        messages::{SaslAuthenticateRequest, SaslAuthenticateResponse},
        wire::Writer,
    },
};

/// How many characters of a claimed name a line of the log has.
const NAME_LOGGED_MAX: usize = 200;

/// Takes a token further.
pub async fn sasl_authenticate(
    cx: &Context,
    session: &mut Session,
    request: SaslAuthenticateRequest,
) -> Answer<SaslAuthenticateResponse> {
    if !session.expects_token() {
        let text = "SaslAuthenticate request received after successful authentication";
        return refusal(ErrorCode::IllegalSaslState, text).into();
    }
    match take(cx, session, request.auth_bytes).await {
        Verdict::Challenge(token) => success(token, None).into(),
        Verdict::Success { response, lifetime } => success(response, lifetime).into(),
        Verdict::Failure(failure) => {
            Answer::Last(refusal(ErrorCode::SaslAuthenticationFailed, &failure.told), because(failure))
        }
    }
}

/// Takes a token further that came without a header. There is no answer to a wrong one.
pub(super) async fn raw_token(cx: &Context, session: &mut Session, token: Bytes) -> Result<Reply, Refusal> {
    match take(cx, session, token).await {
        Verdict::Challenge(token) | Verdict::Success { response: token, .. } => {
            let mut w = Writer::for_frame();
            w.foreign(&token);
            w.into_frame().map(Reply::Ready).map_err(Refusal::because)
        }
        Verdict::Failure(failure) => Err(because(failure)),
    }
}

/// What comes of a token; of a wrong one after a while.
async fn take(cx: &Context, session: &mut Session, token: Bytes) -> Verdict {
    let conversation = session.take_conversation().expect("a token was expected");
    let (conversation, step) = match Listened::to(cx).await {
        Some(listened) => step(cx, conversation, token, listened).await,
        None => (conversation, too_many_attempts()),
    };
    let user = conversation.user().map(str::to_owned);
    let mut verdict = session.conclude(conversation, step, clock::monotonic());
    match &mut verdict {
        Verdict::Success { .. } => tracing::debug!("{} is {}", cx.connection.peer, session.principal()),
        Verdict::Failure(failure) => {
            let reason = failure.logged.take().unwrap_or_else(|| failure.told.clone());
            failure.logged = Some(match &user {
                Some(user) => format!("user {:?}: {reason}", key::line(user, NAME_LOGGED_MAX)),
                None => reason,
            });
            delay_failure(cx, user.as_deref()).await;
        }
        Verdict::Challenge(_) => {}
    }
    verdict
}

/// An attempt that is looked at, after it was held back if its address has failed often of late.
struct Listened<'c> {
    cx: &'c Context,
    was_held: bool,
}

impl<'c> Listened<'c> {
    /// `None` where too many attempts of the address wait already.
    async fn to(cx: &'c Context) -> Option<Self> {
        match attempt(cx) {
            Attempt::Now => Some(Self { cx, was_held: false }),
            Attempt::Held(delay) => {
                let listened = Self { cx, was_held: true };
                wait(cx, delay).await;
                Some(listened)
            }
            Attempt::Refused => None,
        }
    }

    /// Whether others of its address have failed so often meanwhile that it would be held now.
    fn is_overtaken(&self) -> bool {
        if self.was_held {
            return false;
        }
        match attempt(self.cx) {
            Attempt::Now => false,
            Attempt::Refused => true,
            Attempt::Held(_) => {
                self.cx.failures().release(self.cx.connection.peer.ip());
                true
            }
        }
    }
}

impl Drop for Listened<'_> {
    fn drop(&mut self) {
        if self.was_held {
            self.cx.failures().release(self.cx.connection.peer.ip());
        }
    }
}

fn attempt(cx: &Context) -> Attempt {
    let base = cx.broker.config().clients.failed_authentication_delay;
    cx.failures().attempt(cx.connection.peer.ip(), base, clock::monotonic())
}

/// Waits, but not for longer than the broker goes on.
async fn wait(cx: &Context, delay: Duration) {
    // What comes first; the time-out is what is waited for otherwise.
    let _ = timeout(delay, cx.shutdown().begun()).await;
}

fn too_many_attempts() -> Step {
    Step::Failure(SaslFailure {
        told: "Authentication failed: too many attempts failed of late, try again later".to_owned(),
        logged: Some("too many attempts of this address wait".to_owned()),
    })
}

/// Hashing a password takes some milliseconds: elsewhere, and for not too many at a time.
async fn step(
    cx: &Context,
    mut conversation: Conversation,
    token: Bytes,
    listened: Listened<'_>,
) -> (Conversation, Step) {
    let credentials = Credentials { image: cx.broker.image(), secret: Arc::clone(cx.broker.secret()) };
    if !conversation.is_costly() {
        let step = conversation.step(&token, &credentials);
        return (conversation, step);
    }
    let patience = cx.broker.config().clients.handshake_timeout;
    let turn = match timeout(patience, cx.password_work().turn()).await {
        Ok(turn) if !listened.is_overtaken() => turn,
        _ => return (conversation, too_many_attempts()),
    };
    let hashed = turn.run(move || {
        let step = conversation.step(&token, &credentials);
        (conversation, step)
    });
    hashed.await
}

/// Holds the answer to a failure back, longer with each one of late.
pub(super) async fn delay_failure(cx: &Context, user: Option<&str>) {
    let base = cx.broker.config().clients.failed_authentication_delay;
    let delay = cx.failures().add(cx.connection.peer.ip(), user, base, clock::monotonic());
    wait(cx, delay).await;
}

fn because(failure: SaslFailure) -> Refusal {
    Refusal::new(format!("authentication failed: {}", failure.logged.unwrap_or(failure.told)))
}

fn success(token: Vec<u8>, lifetime: Option<Duration>) -> SaslAuthenticateResponse {
    let lifetime = lifetime.map_or(0, |lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
    SaslAuthenticateResponse {
        // Kafka's clients get an empty text here, not none.
        error_message: Some("".into()),
        auth_bytes: token.into(),
        session_lifetime_ms: lifetime,
        ..SaslAuthenticateResponse::default()
    }
}

fn refusal(error: ErrorCode, message: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        ..SaslAuthenticateResponse::default()
    }
}
