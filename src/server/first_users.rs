//! Whether users still have the passwords that the settings give them. Each has to be hashed for that, so it is found out
//! while the broker serves, one at a time, in the room that hashing passwords has anyway.

use std::sync::Arc;

use crate::{broker::Broker, config::users::FirstUser, handlers::heavy_work::HeavyWork, network::Shutdown};

/// Of how many users something is said by name.
const TOLD_MAX: usize = 20;

/// Says of users that existed before this start which have another password. Ends with the broker.
pub(super) async fn compare(
    broker: Arc<Broker>,
    users: Vec<FirstUser>,
    room: HeavyWork,
    shutdown: Shutdown,
    mut tell: impl FnMut(String),
) {
    let mut others = 0_usize;
    for user in users {
        let broker = Arc::clone(&broker);
        let turn = tokio::select! {
            biased;
            () = shutdown.begun() => return,
            turn = room.turn() => turn,
        };
        let Some(text) = turn.run(move || broker.another_password(&user)).await else { continue };
        others += 1;
        if others <= TOLD_MAX {
            tell(text);
        }
    }
    if let more @ 1.. = others.saturating_sub(TOLD_MAX) {
        tell(format!("{more} more users keep a password that was set since, not that of the settings"));
    }
}
