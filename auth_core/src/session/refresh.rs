use std::time::Duration;

use super::SessionTokens;
use crate::Request;
use crate::commit::until_won;
use crate::error::{Error, Reason};
use crate::port::{At, Event, Rotation, UserKey};
use crate::token::{MAX_SKEW, RefreshClaims};
use crate::types::{Session, Timestamp, User};

/// What becomes of a genuine refresh token.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It is the current one: rotate.
    Rotate,
    /// It became the current one a moment ago: answer with it again, once its arrival is noted.
    RepeatOnceNoted,
    /// It was current a moment ago, or nothing shows that the answer with its successor arrived: answer with the
    /// current one.
    Repeat,
    /// It was used before: a copy is about.
    Reused,
    /// The session or the account ended, or the session never refreshes.
    Ended,
}

/// The time after a rotation in which its predecessor is still accepted.
#[derive(Clone, Copy)]
struct Patience {
    /// In any case.
    window: Duration,
    /// While the successor was never presented.
    retry: Duration,
}

fn decide(
    presented: &RefreshClaims,
    session: &Session,
    user: Option<&User>,
    patience: Patience,
    now: Timestamp,
) -> Decision {
    let stands = |user: &User| user.is_active() && user.token_version == session.token_version;
    let same = presented.user == session.user && presented.token_version == session.token_version;
    if !session.channel.refreshes() || !same || !session.is_live(now) || !user.is_some_and(stands) {
        return Decision::Ended;
    }
    // A rotation slightly ahead of this clock counts as one of this moment. The age of one further ahead is unknown. A
    // span of zero has always expired.
    let dated = session.rotated_at.since(now) <= MAX_SKEW;
    let within = |span: Duration| dated && !span.is_zero() && now.since(session.rotated_at) <= span;
    let in_window = session.generation > 0 && within(patience.window);
    let arrived = session.presented == Some(session.generation);
    if presented.generation == session.generation {
        return match (in_window, arrived) {
            (false, _) => Decision::Rotate,
            (true, false) => Decision::RepeatOnceNoted,
            (true, true) => Decision::Repeat,
        };
    }
    let predecessor = presented.generation.checked_add(1) == Some(session.generation);
    if predecessor && (in_window || (!arrived && within(patience.retry))) { Decision::Repeat } else { Decision::Reused }
}

/// The new tokens are dated by the store, and whoever checks them has a clock of its own.
fn warn_of_skew(ours: Timestamp, stores: Timestamp) {
    let skew = ours.since(stores).max(stores.since(ours));
    if skew > MAX_SKEW {
        tracing::warn!(target: "auth", ?skew, "the clocks of this node and of its store differ: tokens will be refused");
    }
}

impl Request<'_> {
    /// Exchanges a refresh token for the session's next tokens.
    ///
    /// Of parallel calls with one token, one rotates and the others, within
    /// [`refresh_window`](crate::policy::Policy::refresh_window), get the very same tokens. A client that lost the answer
    /// gets it again within [`refresh_retry`](crate::policy::Policy::refresh_retry), until the new token was presented.
    /// Any other token that was used before ends its session for good: there is a copy of it.
    ///
    /// # Errors
    /// `refresh_invalid` for whatever is not a refresh token of a live session; `unavailable`.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, Error> {
        let ports = self.ports();
        let presented = self
            .tokens()
            .verify_refresh(refresh_token, ports.clock.now())
            .ok()
            .filter(|claims| claims.tenant == *self.tenant())
            .ok_or(Reason::RefreshInvalid)?;
        let policy = self.policy();
        let patience = Patience { window: policy.refresh_window, retry: policy.effective_refresh_retry() };
        until_won!({
            let found = ports.sessions.find(&presented.tenant, presented.session).await?;
            let At { row: session, now } = found.ok_or(Reason::RefreshInvalid)?;
            warn_of_skew(ports.clock.now(), now);
            let user = ports.users.find(&session.tenant, UserKey::Id(&session.user)).await?;
            match decide(&presented, &session, user.as_ref(), patience, now) {
                Decision::Rotate => {
                    if let Some(rotated) = ports.sessions.rotate_if(&session, &self.rotation(&session, now)).await? {
                        let generation = rotated.generation;
                        self.record(&rotated.tenant, Event::Refreshed { session: rotated.id, generation });
                        return self.session_tokens(&rotated).map(Some);
                    }
                }
                // Before the answer: from then on its predecessor is no lost answer but a copy.
                Decision::RepeatOnceNoted => {
                    if ports.sessions.note_presented(&session.tenant, session.id, session.generation).await? {
                        return self.session_tokens(&session).map(Some);
                    }
                }
                Decision::Repeat => return self.session_tokens(&session).map(Some),
                Decision::Reused => {
                    let event = Event::RefreshReused { user: session.user, session: session.id };
                    self.revoke_session(event, session.user, session.id).await?;
                    return Err(Reason::RefreshInvalid.into());
                }
                Decision::Ended => return Err(Reason::RefreshInvalid.into()),
            }
            Ok(None)
        })
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
