use super::MailPurpose;
use crate::types::{MailId, SessionId, TenantId, UserId};

/// Where flows report what happened: an audit log, metrics, a webhook.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event. It runs within the request: hand slow work to something else.
    fn record(&self, tenant: &TenantId, event: &Event);
}

/// What happened. Never holds a secret; what a mailer said may quote the mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An account was made.
    SignedUp {
        /// Whose.
        user: UserId,
    },
    /// An account was taken over from another system.
    UserImported {
        /// Whose.
        user: UserId,
    },
    /// Somebody signed up with an address that has an account.
    SignUpRepeated {
        /// Whose.
        user: UserId,
        /// Whether the stored password of the unverified account was cleared, because the new one differs.
        password_cleared: bool,
    },
    /// A mailbox was proven.
    EmailVerified {
        /// Whose.
        user: UserId,
    },
    /// A login succeeded.
    LoggedIn {
        /// Who.
        user: UserId,
        /// The new session.
        session: SessionId,
    },
    /// A login was refused.
    LoginRefused {
        /// Who, if the account is known.
        user: Option<UserId>,
        /// Why; clients never learn it.
        why: LoginRefusal,
    },
    /// A stored password hash cannot be checked: its data key is missing, or its form is unknown. The owner's password is
    /// refused as a wrong one. **Look at it.**
    PasswordUnreadable {
        /// The account.
        user: UserId,
    },
    /// A refresh token was rotated.
    Refreshed {
        /// The session.
        session: SessionId,
        /// Its new generation.
        generation: u32,
    },
    /// A refresh token was used again after its window: a copy is about. The session was ended.
    RefreshReused {
        /// Whose.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A request carried several cookies of one name, and not exactly one of them verified: another site of the same
    /// domain may have set one. The request counted as one without a valid token.
    TokensAmbiguous {
        /// The kind of token in these cookies.
        kind: TokenKind,
        /// The account and the session of each token that verified.
        verified: Vec<(UserId, SessionId)>,
    },
    /// A user logged out.
    LoggedOut {
        /// Who.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A password was set through a mailed link.
    PasswordReset {
        /// Whose.
        user: UserId,
    },
    /// Somebody who is logged in gave a wrong password where it was asked for again.
    PasswordRefused {
        /// Whose password.
        user: UserId,
    },
    /// A user proved again who they are; the session was replaced.
    Reauthenticated {
        /// Who.
        user: UserId,
        /// The new session.
        session: SessionId,
    },
    /// A user changed their password.
    PasswordChanged {
        /// Who.
        user: UserId,
    },
    /// A user asked to move to another address; a link went, or will go, there.
    EmailChangeRequested {
        /// Who.
        user: UserId,
    },
    /// An account moved to another address, which was proven.
    EmailChanged {
        /// Whose.
        user: UserId,
    },
    /// Two addresses claim an account: each took back what the other did. The account was shut. **Look at it.**
    TakingBackDisputed {
        /// The account.
        user: UserId,
    },
    /// A dispute ended: one side showed a second factor, or set a password after the wait.
    DisputeSettled {
        /// The account.
        user: UserId,
    },
    /// A client signed up with an address that an account left a short while ago. No account was made.
    FormerEmailWanted {
        /// The account that left the address.
        user: UserId,
    },
    /// An unverified account left its address to the owner of the mailbox and was marked as deleted.
    UnverifiedGaveWay {
        /// The account that gave way.
        user: UserId,
    },
    /// An account that was never verified lost its username to another sign-up.
    UsernameForfeited {
        /// The account that lost it.
        user: UserId,
    },
    /// A change was taken back by the link of its notice.
    ChangeTakenBack {
        /// Whose.
        user: UserId,
        /// The former address belongs to somebody else by now: the account was disabled. **Look at it.**
        address_lost: bool,
    },
    /// Somebody gave a wrong code of a second factor, or one that was used.
    CodeRefused {
        /// Whose factor.
        user: UserId,
    },
    /// A login waits for its second factor.
    SecondFactorAwaited {
        /// Whose.
        user: UserId,
    },
    /// A backup code was used.
    BackupCodeUsed {
        /// Whose.
        user: UserId,
        /// How many are left.
        left: usize,
    },
    /// A user replaced their backup codes.
    BackupCodesReplaced {
        /// Who.
        user: UserId,
    },
    /// A user turned two-factor login on.
    TwoFactorEnabled {
        /// Who.
        user: UserId,
    },
    /// A user replaced their authenticator.
    TwoFactorReplaced {
        /// The account.
        user: UserId,
    },
    /// A user turned two-factor login off.
    TwoFactorDisabled {
        /// Who.
        user: UserId,
    },
    /// A user changed the application's own fields.
    ProfileChanged {
        /// Who.
        user: UserId,
    },
    /// The owner of a mailbox removed an account that a stranger had signed up with it.
    SignUpDenied {
        /// The removed account.
        user: UserId,
    },
    /// The owner of a closed account reopened it by a proof of the mailbox.
    Reactivated {
        /// The account.
        user: UserId,
    },
    /// An account was removed, because it was never verified, or closed by its owner, for longer than the policy keeps it.
    Purged {
        /// The removed account.
        user: UserId,
    },
    /// A user closed their own account.
    Deactivated {
        /// Who.
        user: UserId,
    },
    /// The password that the configuration has for the super-user was not used, because a super-user, or a verified
    /// account with that address, was there before and has another one.
    SuperuserPasswordUnused {
        /// The super-user.
        user: UserId,
    },
    /// An operator did something.
    Administered {
        /// Who, as they named themselves.
        actor: Box<str>,
        /// What.
        action: AdminAction,
        /// To whose account, if it is about one.
        user: Option<UserId>,
    },
    /// A mail was withheld because the budget of its recipient for this kind of mail is used up.
    MailWithheld {
        /// The purpose of the mail.
        purpose: MailPurpose,
    },
    /// A mail was sent.
    MailSent {
        /// The queued mail.
        mail: MailId,
        /// What about.
        purpose: MailPurpose,
    },
    /// A mail could not be sent and waits for its next try.
    MailDelayed {
        /// The queued mail.
        mail: MailId,
        /// How often it was tried.
        tries: u32,
        /// What the mailer said, or what kept it from being asked.
        why: String,
    },
    /// A mail was given up.
    MailDead {
        /// The queued mail.
        mail: MailId,
        /// What the mailer said, or what kept it from being asked.
        why: String,
    },
}

/// A kind of token that clients show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
}

/// What an operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminAction {
    /// Made an account.
    CreatedUser,
    /// Made an account a super-user's.
    MadeSuperuser,
    /// Took the role of a super-user off an account.
    RevokedSuperuser,
    /// Moved an account to another address.
    SetEmail,
    /// Cleared the failures that were counted for an account.
    Unlocked,
    /// Ended every session of every account.
    EndedAllSessions,
    /// Shut an account.
    Disabled,
    /// Opened an account that was shut.
    Enabled,
    /// Marked an account as deleted.
    Deleted,
    /// Ended every session of an account.
    EndedSessions,
    /// Had a link mailed that sets a new password.
    StartedReset,
    /// Took the second factors off an account.
    ResetSecondFactors,
    /// Queued a mail that was given up again.
    RequeuedMail(MailId),
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginRefusal {
    /// No such account.
    Unknown,
    /// Wrong password, or none set.
    WrongPassword,
    /// Too many wrong passwords in a row: the password is off until it is set anew.
    PasswordOff,
    /// The mailbox was never proven.
    Unverified,
    /// The account is disabled, deactivated or deleted.
    Disabled,
    /// Wrong code of the second factor, or the pending login was over.
    WrongCode,
}

/// The default sink: one `tracing` event each, target `auth`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingEvents;

impl EventSink for TracingEvents {
    fn record(&self, tenant: &TenantId, event: &Event) {
        match event {
            Event::TokensAmbiguous { verified, .. } if !verified.is_empty() => {
                tracing::warn!(target: "auth", %tenant, ?event)
            }
            Event::PasswordUnreadable { .. }
            | Event::RefreshReused { .. }
            | Event::ChangeTakenBack { .. }
            | Event::TakingBackDisputed { .. }
            | Event::SuperuserPasswordUnused { .. }
            | Event::MailDead { .. } => {
                tracing::warn!(target: "auth", %tenant, ?event)
            }
            _ => tracing::info!(target: "auth", %tenant, ?event),
        }
    }
}
