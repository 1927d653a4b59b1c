//! Witness values: only the check that they stand for can make them, and only with them can a session be made.
//!
//! A proof carries the revision and token version of the row it was made from. Whatever is stamped, is stamped from the
//! proof: if the account changed in the meantime, what was made from the old state is dead on arrival.

use crate::error::Error;
use crate::port::{Event, LoginRefusal, PasswordAttempt, Ports, Ticket, Verdict};
use crate::token::AccessClaims;
use crate::types::{
    AuthMethods, Channel, FactorKind, MethodTimes, Password, PasswordHash, PendingSession, PendingSubject, Revision,
    Scope, SessionId, TenantId, Timestamp, TokenVersion, User, UserId,
};

/// The account, in the state that a proof was made from, and the authentication method that was shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) revision: Revision,
    pub(crate) token_version: TokenVersion,
    pub(crate) method: Box<str>,
    /// When the check began, right after the row was read. The check itself may wait long for its turn.
    pub(crate) at: Timestamp,
}

impl Shown {
    fn of(user: &User, method: &str, at: Timestamp) -> Self {
        let User { tenant, id, revision, token_version, .. } = *user;
        Self { tenant, user: id, revision, token_version, method: method.into(), at }
    }

    /// The account in that state, for a login that waits for its second step.
    pub(crate) fn subject(&self) -> PendingSubject {
        PendingSubject { user: self.user, revision: self.revision, token_version: self.token_version }
    }

    fn version(&self) -> (TenantId, UserId, TokenVersion) {
        (self.tenant, self.user, self.token_version)
    }
}

/// The user of an account was shown to be there by a method that begins a login. Every such method ends in this proof:
/// status, verification, second factor and notices are the same code for all.
#[derive(Clone, Debug)]
pub struct FirstFactorVerified(pub(crate) Shown);

impl FirstFactorVerified {
    /// The proof of this method. Only the check of the method may call this.
    pub(crate) fn of(user: &User, method: &str, at: Timestamp) -> Self {
        Self(Shown::of(user, method, at))
    }

    /// The proof that a pending login was made from. Only the call that took the pending login may call this.
    /// `None` for one without an account.
    pub(crate) fn resumed(taken: &PendingSession, method: &str, at: Timestamp) -> Option<Self> {
        let PendingSubject { user, revision, token_version } = taken.subject?;
        Some(Self(Shown { tenant: taken.tenant, user, revision, token_version, method: method.into(), at }))
    }
}

/// The user of an account gave a code of its second factor, or a backup code, which is spent now.
#[derive(Clone, Debug)]
pub struct SecondFactorVerified(pub(crate) Shown);

impl SecondFactorVerified {
    /// The proof of a code of this kind. Only the check of the code may call this.
    pub(crate) fn of(user: &User, kind: &FactorKind, at: Timestamp) -> Self {
        Self(Shown::of(user, &kind.0, at))
    }
}

/// The password of an account was given.
#[derive(Debug)]
pub(crate) struct PasswordVerified {
    pub(crate) proof: FirstFactorVerified,
    /// The hash that matched, if it should be replaced by one with today's parameters.
    pub(crate) outdated: Option<PasswordHash>,
}

/// Checks a password against an account; `None` for a wrong one. The work is the same without an account.
pub(crate) async fn verify_password(
    ports: &Ports,
    ticket: Ticket,
    user: Option<&User>,
    password: &Password,
) -> Result<Option<PasswordVerified>, Error> {
    let at = ports.clock.now();
    let verdict = match &ports.password_backend {
        Some(backend) => backend.verify(PasswordAttempt::new(ticket, user, password)).await?,
        None => {
            let hash = user.and_then(|user| user.password_hash.as_ref());
            ports.hasher.verify(ticket, password, hash).await?
        }
    };
    let proof = |user| FirstFactorVerified::of(user, MethodTimes::PASSWORD, at);
    if let (Verdict::Unreadable, Some(user)) = (verdict, user) {
        ports.events.record(&user.tenant, &Event::PasswordUnreadable { user: user.id });
    }
    Ok(match (verdict, user) {
        (Verdict::Match, Some(user)) => Some(PasswordVerified { proof: proof(user), outdated: None }),
        (Verdict::MatchOutdated, Some(user)) => {
            Some(PasswordVerified { proof: proof(user), outdated: user.password_hash.clone() })
        }
        (Verdict::Mismatch | Verdict::Unreadable, _) | (_, None) => None,
    })
}

/// The proofs that the user of a live session gave for its renewal: a password, a code, or both.
#[derive(Debug)]
pub(crate) struct Renewal {
    tenant: TenantId,
    user: UserId,
    revision: Revision,
    token_version: TokenVersion,
    shown: MethodTimes,
    at: Timestamp,
}

impl From<&FirstFactorVerified> for Renewal {
    fn from(FirstFactorVerified(shown): &FirstFactorVerified) -> Self {
        Self::of(shown)
    }
}

impl From<&SecondFactorVerified> for Renewal {
    fn from(SecondFactorVerified(shown): &SecondFactorVerified) -> Self {
        Self::of(shown)
    }
}

impl Renewal {
    fn of(shown: &Shown) -> Self {
        let Shown { tenant, user, revision, token_version, at, .. } = *shown;
        Self { tenant, user, revision, token_version, shown: MethodTimes::of(&shown.method, at), at }
    }

    /// Both proofs, if they are of one account in one state.
    pub(crate) fn and(self, SecondFactorVerified(code): &SecondFactorVerified) -> Result<Self, LoginRefusal> {
        if (self.tenant, self.user, self.token_version) != code.version() {
            return Err(LoginRefusal::WrongCode);
        }
        Ok(Self { shown: self.shown.with(&code.method, code.at), at: self.at.min(code.at), ..self })
    }
}

/// The outcome of a first factor alone.
#[derive(Debug)]
pub(crate) enum FirstStep {
    /// All that the account asks for.
    Complete(Authenticated),
    /// The account lists further factors.
    SecondFactor,
}

/// A login that is complete: every factor that the account asks for was given. The one key to a session.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) token_version: TokenVersion,
    pub(crate) methods: AuthMethods,
    pub(crate) method_times: MethodTimes,
    pub(crate) scope: Scope,
    pub(crate) at: Timestamp,
    /// When the account's row was read, where that was a while ago: the session's first tokens count from then. What
    /// counted from later could outlive what nodes remember of a change made in between.
    pub(crate) row_read_at: Option<Timestamp>,
}

impl Authenticated {
    /// Whether the first factor is enough for this account, as the row that it was checked against says.
    pub(crate) fn begin(
        FirstFactorVerified(first): &FirstFactorVerified,
        user: &User,
    ) -> Result<FirstStep, LoginRefusal> {
        if (first.version(), first.revision) != ((user.tenant, user.id, user.token_version), user.revision) {
            return Err(LoginRefusal::WrongPassword);
        }
        may_log_in(user)?;
        if !user.factors.is_empty() {
            return Ok(FirstStep::SecondFactor);
        }
        Ok(FirstStep::Complete(Self::of(first, MethodTimes::of(&first.method, first.at))))
    }

    /// Completes a login: both proofs are of one account in one state, in which it still is.
    pub(crate) fn complete(
        FirstFactorVerified(first): &FirstFactorVerified,
        SecondFactorVerified(second): &SecondFactorVerified,
        user: &User,
    ) -> Result<Self, LoginRefusal> {
        let version = (user.tenant, user.id, user.token_version);
        if (first.version(), second.version()) != (version, version) {
            return Err(LoginRefusal::WrongCode);
        }
        may_log_in(user)?;
        Ok(Self::of(second, MethodTimes::of(&first.method, first.at).with(&second.method, second.at)))
    }

    fn of(last: &Shown, method_times: MethodTimes) -> Self {
        Self {
            tenant: last.tenant,
            user: last.user,
            token_version: last.token_version,
            methods: method_times.amr(),
            method_times,
            scope: Scope::Full,
            at: last.at,
            row_read_at: Some(last.at),
        }
    }

    /// Restricts the session to enrolling a second factor.
    pub(crate) fn for_enrolment(self) -> Self {
        Self { scope: Scope::EnrolFactor, ..self }
    }

    /// A session that takes the place of a live one, in which the methods `before` were shown, for a user who gave a code
    /// of the factor that the one write enrolled.
    pub(crate) fn with_second_factor(
        live: &LiveSession,
        before: MethodTimes,
        SecondFactorVerified(proof): &SecondFactorVerified,
        row: &User,
    ) -> Result<Self, LoginRefusal> {
        let owner = (proof.tenant, proof.user);
        let same = owner == (live.tenant(), live.user()) && owner == (row.tenant, row.id);
        let current = live.token_version() == proof.token_version;
        if !(same && current && row.revision == proof.revision.wrapping_add(1)) {
            return Err(LoginRefusal::WrongCode);
        }
        may_log_in(row)?;
        let method_times = before.with(&proof.method, proof.at);
        Ok(Self {
            tenant: row.tenant,
            user: row.id,
            token_version: row.token_version,
            methods: method_times.amr(),
            method_times,
            scope: Scope::Full,
            at: live.auth_time(),
            row_read_at: Some(proof.at),
        })
    }

    /// A session that takes the place of a live one, whose user gave a proof again. `row` is the account as the check
    /// read it, or as the one write made on the strength of that check left it.
    ///
    /// `recent` are the methods that were shown in the live session a short while ago. Older ones do not count any more:
    /// a password alone does not keep `mfa`.
    pub(crate) fn renewed(
        live: &LiveSession,
        recent: MethodTimes,
        proof: impl Into<Renewal>,
        row: &User,
    ) -> Result<Self, LoginRefusal> {
        let proof = proof.into();
        let owner = (proof.tenant, proof.user);
        let same = owner == (live.tenant(), live.user()) && owner == (row.tenant, row.id);
        let current = live.token_version() == proof.token_version;
        let after = row.revision == proof.revision || row.revision == proof.revision.wrapping_add(1);
        if !(same && current && after) {
            return Err(LoginRefusal::WrongPassword);
        }
        may_log_in(row)?;
        let method_times = recent.and(&proof.shown);
        Ok(Self {
            tenant: row.tenant,
            user: row.id,
            token_version: row.token_version,
            methods: method_times.amr(),
            method_times,
            scope: live.scope(),
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
            method_times: MethodTimes::of(MethodTimes::VOUCHED, at),
            scope: Scope::Full,
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

    /// The part of the account that the session may use.
    pub fn scope(&self) -> Scope {
        self.claims.scope
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
