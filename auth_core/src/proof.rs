//! Witness values: only the check that they stand for can make them, and only with them can a session be made.
//!
//! A proof carries the revision and token version of the row it was made from. Whatever is stamped, is stamped from the
//! proof: if the account changed in the meantime, what was made from the old state is dead on arrival.

use crate::error::Error;
use crate::port::{Clock, Event, EventSink, LoginRefusal, PasswordHasher, Ticket, Verdict};
use crate::token::AccessClaims;
use crate::types::{
    AuthMethods, Channel, Password, PasswordHash, PendingPurpose, PendingSession, Revision, SessionId, TenantId,
    Timestamp, TokenVersion, User, UserId,
};

/// Somebody gave this account's password.
#[derive(Debug)]
pub struct PasswordVerified {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) revision: Revision,
    pub(crate) token_version: TokenVersion,
    /// When the check began, right after the row was read. The check itself may wait long for its turn.
    at: Timestamp,
    /// The hash that matched, if it should be replaced by one with today's parameters.
    pub(crate) outdated: Option<PasswordHash>,
}

/// Checks a password against an account; `None` for a wrong one. The work is the same without an account.
pub(crate) async fn verify_password(
    hasher: &dyn PasswordHasher,
    clock: &dyn Clock,
    events: &dyn EventSink,
    ticket: Ticket,
    user: Option<&User>,
    password: &Password,
) -> Result<Option<PasswordVerified>, Error> {
    let at = clock.now();
    let hash = user.and_then(|user| user.password_hash.as_ref());
    let verdict = hasher.verify(ticket, password, hash).await?;
    let proof = |user: &User, outdated| PasswordVerified {
        tenant: user.tenant,
        user: user.id,
        revision: user.revision,
        token_version: user.token_version,
        at,
        outdated,
    };
    if let (Verdict::Unreadable, Some(user)) = (verdict, user) {
        events.record(&user.tenant, &Event::PasswordUnreadable { user: user.id });
    }
    Ok(match (verdict, user) {
        (Verdict::Match, Some(user)) => Some(proof(user, None)),
        (Verdict::MatchOutdated, Some(user)) => Some(proof(user, hash.cloned())),
        (Verdict::Mismatch | Verdict::Unreadable, _) | (_, None) => None,
    })
}

/// Somebody gave a code of this account's second factor, which is spent now.
#[derive(Debug)]
pub struct SecondFactorVerified {
    tenant: TenantId,
    user: UserId,
    revision: Revision,
    token_version: TokenVersion,
    at: Timestamp,
}

impl SecondFactorVerified {
    /// Only the check of a code may say this.
    pub(crate) fn of(user: &User, at: Timestamp) -> Self {
        Self { tenant: user.tenant, user: user.id, revision: user.revision, token_version: user.token_version, at }
    }
}

/// What a password alone gets.
#[derive(Debug)]
pub(crate) enum FirstStep {
    /// All that the account asks for.
    Complete(Authenticated),
    /// The account lists further factors.
    SecondFactor,
}

/// The methods of a login with two factors.
const TWO_FACTORS: AuthMethods = AuthMethods::PASSWORD.and(AuthMethods::ONE_TIME_CODE).and(AuthMethods::MULTI_FACTOR);

/// A login that is complete: every factor that the account asks for was given. The one key to a session.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) token_version: TokenVersion,
    pub(crate) methods: AuthMethods,
    pub(crate) at: Timestamp,
    /// When the account's row was read, where that was a while ago: the session's first tokens count from then. What
    /// counted from later could outlive what nodes remember of a change made in between.
    pub(crate) row_read_at: Option<Timestamp>,
}

impl Authenticated {
    /// Whether a password is enough for this account, as the row that the password was checked against says.
    pub(crate) fn by_password(proof: &PasswordVerified, user: &User) -> Result<FirstStep, LoginRefusal> {
        let same = proof.tenant == user.tenant && proof.user == user.id && proof.revision == user.revision;
        if !same {
            return Err(LoginRefusal::WrongPassword);
        }
        may_log_in(user)?;
        if !user.factors.is_empty() {
            return Ok(FirstStep::SecondFactor);
        }
        Ok(FirstStep::Complete(Self {
            tenant: proof.tenant,
            user: proof.user,
            token_version: proof.token_version,
            methods: AuthMethods::PASSWORD,
            at: proof.at,
            row_read_at: Some(proof.at),
        }))
    }

    /// The same for a session that is good for enrolling a second factor and nothing else.
    pub(crate) fn for_enrolment(self) -> Self {
        Self { methods: self.methods.and(AuthMethods::ENROLMENT_ONLY), ..self }
    }

    /// The second step of a login: the code was of the very account, in the very state, that the password was checked
    /// against. Whoever calls this has taken the pending session, which is there once.
    pub(crate) fn by_second_factor(
        taken: &PendingSession,
        proof: &SecondFactorVerified,
        user: &User,
    ) -> Result<Self, LoginRefusal> {
        let same = (proof.tenant, proof.user, proof.token_version) == (taken.tenant, taken.user, taken.token_version);
        if !same || taken.purpose != PendingPurpose::SecondFactor || !taken.fits(user) {
            return Err(LoginRefusal::WrongCode);
        }
        may_log_in(user)?;
        Ok(Self {
            tenant: proof.tenant,
            user: proof.user,
            token_version: proof.token_version,
            methods: TWO_FACTORS,
            at: proof.at,
            row_read_at: Some(proof.at),
        })
    }

    /// As [`renewed`](Self::renewed), for a user who gave a code of the factor that the one write enrolled.
    pub(crate) fn with_second_factor(
        live: &LiveSession,
        proof: &SecondFactorVerified,
        row: &User,
    ) -> Result<Self, LoginRefusal> {
        let owner = (proof.tenant, proof.user);
        let same = owner == (live.tenant(), live.user()) && owner == (row.tenant, row.id);
        let current = live.token_version() == proof.token_version;
        if !(same && current && row.revision == proof.revision.wrapping_add(1)) {
            return Err(LoginRefusal::WrongCode);
        }
        may_log_in(row)?;
        Ok(Self {
            tenant: row.tenant,
            user: row.id,
            token_version: row.token_version,
            methods: live.methods().without(AuthMethods::ENROLMENT_ONLY).and(TWO_FACTORS),
            at: live.auth_time(),
            row_read_at: Some(proof.at),
        })
    }

    /// A session that takes the place of a live one, whose user gave the password again. `row` is the account as the
    /// check read it, or as the one write made on the strength of that check left it.
    ///
    /// Further factors were proven when the live session was made: enrolling one since would have ended it.
    pub(crate) fn renewed(live: &LiveSession, proof: &PasswordVerified, row: &User) -> Result<Self, LoginRefusal> {
        let owner = (proof.tenant, proof.user);
        let same = owner == (live.tenant(), live.user()) && owner == (row.tenant, row.id);
        let current = live.token_version() == proof.token_version;
        let after = row.revision == proof.revision || row.revision == proof.revision.wrapping_add(1);
        if !(same && current && after) {
            return Err(LoginRefusal::WrongPassword);
        }
        may_log_in(row)?;
        Ok(Self {
            tenant: row.tenant,
            user: row.id,
            token_version: row.token_version,
            methods: live.methods().and(AuthMethods::PASSWORD),
            at: proof.at,
            row_read_at: Some(proof.at),
        })
    }

    /// **Dangerous.** Declares that *you* have authenticated this user, by means that this crate knows nothing of: no
    /// password, second factor or limit is checked. Only the account's own state is: it must be active and verified.
    ///
    /// For single sign-on of your own. Whoever can reach a call of this logs in as anybody. `user` must have been read
    /// just now; `at` is when they proved who they are.
    ///
    /// # Errors
    /// [`LoginRefusal`] when the account is not to be used.
    pub fn dangerously_vouched_for(user: &User, methods: AuthMethods, at: Timestamp) -> Result<Self, LoginRefusal> {
        may_log_in(user)?;
        Ok(Self {
            tenant: user.tenant,
            user: user.id,
            token_version: user.token_version,
            methods,
            at,
            row_read_at: None,
        })
    }
}

fn may_log_in(user: &User) -> Result<(), LoginRefusal> {
    if !user.is_active() {
        return Err(LoginRefusal::Disabled);
    }
    if !user.is_verified() {
        return Err(LoginRefusal::Unverified);
    }
    Ok(())
}

/// A request came with the access token of a session that was live as of the last poll. All it says is from the token:
/// no store was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSession {
    claims: AccessClaims,
}

impl LiveSession {
    /// Only the access check may say this.
    pub(crate) fn new(claims: AccessClaims) -> Self {
        Self { claims }
    }

    /// The user's tenant.
    pub fn tenant(&self) -> TenantId {
        self.claims.tenant
    }

    /// The user.
    pub fn user(&self) -> UserId {
        self.claims.user
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.claims.session
    }

    /// The account's version when its owner logged in.
    pub fn token_version(&self) -> TokenVersion {
        self.claims.token_version
    }

    /// When the user last proved who they are. A refresh does not move it.
    pub fn auth_time(&self) -> Timestamp {
        self.claims.auth_time
    }

    /// How the user proved who they are.
    pub fn methods(&self) -> AuthMethods {
        self.claims.methods
    }

    /// Whether the session is good for enrolling a second factor and nothing else.
    pub fn is_for_enrolment_only(&self) -> bool {
        self.methods().contains(AuthMethods::ENROLMENT_ONLY)
    }

    /// How the session's tokens travel.
    pub fn channel(&self) -> Channel {
        self.claims.channel
    }

    /// Until when the access token works.
    pub fn expires_at(&self) -> Timestamp {
        self.claims.expires_at
    }
}
