use std::time::Duration;

use super::{MAX_ATTEMPTS, contended};
use crate::AuthSystem;
use crate::error::{Error, Reason};
use crate::flow::SessionTokens;
use crate::port::{At, Event, Rotation, UserKey};
use crate::token::{MAX_SKEW, RefreshClaims};
use crate::types::{Session, Timestamp, User};

/// What becomes of a genuine refresh token.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It is the current one: rotate.
    Rotate,
    /// It was current a moment ago, or became so a moment ago: answer with the current one.
    Repeat,
    /// It was used before: a copy is about.
    Reused,
    /// The session or the account ended.
    Ended,
}

fn decide(
    presented: &RefreshClaims,
    session: &Session,
    user: Option<&User>,
    window: Duration,
    now: Timestamp,
) -> Decision {
    let stands = |user: &User| user.is_active() && user.token_version == session.token_version;
    let same = presented.user == session.user && presented.token_version == session.token_version;
    if !same || !session.is_live(now) || !user.is_some_and(stands) {
        return Decision::Ended;
    }
    // A rotation in the future of this clock is a rotation just now. A window of zero is over at once.
    let in_window = session.generation > 0 && !window.is_zero() && now.since(session.rotated_at) <= window;
    let current = presented.generation == session.generation;
    let predecessor = presented.generation.checked_add(1) == Some(session.generation);
    match (current, predecessor, in_window) {
        (true, _, false) => Decision::Rotate,
        (true, _, true) | (_, true, true) => Decision::Repeat,
        _ => Decision::Reused,
    }
}

/// The new tokens are dated by the store, and whoever checks them has a clock of its own.
fn warn_of_skew(ours: Timestamp, stores: Timestamp) {
    let skew = ours.since(stores).max(stores.since(ours));
    if skew > MAX_SKEW {
        tracing::warn!(target: "auth", ?skew, "the clocks of this node and of its store differ: tokens will be refused");
    }
}

impl AuthSystem {
    /// Exchanges a refresh token for the session's next tokens.
    ///
    /// Of parallel calls with one token, one rotates and the others, within the window, get the very same tokens. A
    /// token that was used before that ends its session for good: a copy is about, and nobody can tell whose it is.
    ///
    /// # Errors
    /// `refresh_invalid` for whatever is not a refresh token of a live session; `unavailable`.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, Error> {
        let ports = self.ports();
        let presented = self
            .tokens()
            .verify_refresh(refresh_token, ports.clock.now())
            .map_err(|_| Error::from(Reason::RefreshInvalid))?;
        for _ in 0..MAX_ATTEMPTS {
            let found = ports.sessions.find(&presented.tenant, presented.session).await?;
            let At { row: session, now } = found.ok_or(Reason::RefreshInvalid)?;
            warn_of_skew(ports.clock.now(), now);
            let user = ports.users.find(&session.tenant, UserKey::Id(&session.user)).await?;
            match decide(&presented, &session, user.as_ref(), self.policy().refresh_window, now) {
                Decision::Rotate => {
                    if let Some(rotated) = ports.sessions.rotate_if(&session, &self.rotation(&session, now)).await? {
                        let generation = rotated.generation;
                        self.record(&rotated.tenant, Event::Refreshed { session: rotated.id, generation });
                        return Ok(self.session_tokens(&rotated));
                    }
                }
                Decision::Repeat => return Ok(self.session_tokens(&session)),
                Decision::Reused => {
                    if self.end_session(&session.tenant, session.id).await? {
                        self.record(&session.tenant, Event::RefreshReused { user: session.user, session: session.id });
                    }
                    return Err(Reason::RefreshInvalid.into());
                }
                Decision::Ended => return Err(Reason::RefreshInvalid.into()),
            }
        }
        Err(contended())
    }

    fn rotation(&self, session: &Session, now: Timestamp) -> Rotation {
        Rotation {
            generation: session.generation.wrapping_add(1),
            // Never back in time, or the successor would expire before what it succeeds.
            rotated_at: now.max(session.rotated_at),
            idle_expires_at: (now + self.policy().idle_lifetime).max(session.idle_expires_at),
        }
    }
}
