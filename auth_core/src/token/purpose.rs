//! The purposes of links. Each has keys of its own.

/// What a link is for. A link of one purpose is garbage to the others: each has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkPurpose {
    /// Prove the mailbox.
    VerifyEmail,
    /// Set a new password.
    SetPassword,
    /// Remove an account that a stranger signed up with the mailbox.
    DenySignUp,
}

impl LinkPurpose {
    pub(super) const ALL: [Self; 3] = [Self::VerifyEmail, Self::SetPassword, Self::DenySignUp];

    /// The context of the derived key.
    pub(super) const fn context(self) -> &'static str {
        match self {
            Self::VerifyEmail => "link/verify-email",
            Self::SetPassword => "link/set-password",
            Self::DenySignUp => "link/deny-sign-up",
        }
    }
}

/// What a sealed link is for. A link of one purpose is garbage to the others: each has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedPurpose {
    /// Move an account to another address.
    ChangeEmail,
    /// Take back a change that the owner did not make.
    NotMe,
    /// Object to a taking-back, or decide a dispute with a second factor.
    TakenBack,
}

impl SealedPurpose {
    pub(super) const ALL: [Self; 3] = [Self::ChangeEmail, Self::NotMe, Self::TakenBack];

    /// The context of the derived key.
    pub(super) const fn context(self) -> &'static str {
        match self {
            Self::ChangeEmail => "link/change-email",
            Self::NotMe => "link/not-me",
            Self::TakenBack => "link/taken-back",
        }
    }
}
