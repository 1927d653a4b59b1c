//! The table of messages: one row for each kind of mail.

/// Calls a macro with all messages: name in the code, name elsewhere, audience, and where it applies the budget that counts
/// it and the page that its link leads to.
///
/// Templates are made of it, too, so that a message is declared once.
#[doc(hidden)]
#[macro_export]
macro_rules! messages {
    ($apply:ident) => {
        $apply! {
            /// Prove the mailbox of a new account.
            VerifyEmail "verify_email" Address budget "sign-up" page VerifyAccount;
            /// Somebody signed up with an address that has a verified account.
            AccountExists "account_exists" Address budget "sign-up";
            /// In place of that or of a reset, where an operator disabled the account.
            AccountDisabled "account_disabled" Address;
            /// In place of that where the owner closed the account; with a link that reopens it.
            AccountDeactivated "account_deactivated" Address page SetPassword;
            /// The owner closed the account; with a link that takes it back.
            Deactivated "deactivated" Change page NotMe;
            /// Set a password: asked for by the owner.
            ResetPassword "reset_password" Address budget "reset" page SetPassword;
            /// Set a password: somebody signed up again, with another one, before the address was verified.
            SetPassword "set_password" Address budget "sign-up" page SetPassword;
            /// Prove the mailbox that an account shall move to.
            ChangeEmail "change_email" Candidate budget "change-email" page ChangeEmail;
            /// Somebody wanted to move another account to an address that has one.
            EmailTaken "email_taken" Candidate budget "change-email";
            /// A password was changed or reset; with a link that takes it back.
            PasswordChanged "password_changed" Change page NotMe;
            /// An account moved away from this address; with a link that takes it back.
            EmailChanged "email_changed" Change page NotMe;
            /// An account moved to this address.
            EmailConfirmed "email_confirmed" Change;
            /// An operator moved an account away from this address.
            EmailSet "email_set" Change;
            /// Two-factor login was turned on; with a link that takes it back.
            TwoFactorEnabled "two_factor_enabled" Change page NotMe;
            /// Two-factor login was turned off; with a link that takes it back.
            TwoFactorDisabled "two_factor_disabled" Change page NotMe;
            /// The authenticator was replaced; with a link that puts the old one on again.
            TwoFactorReplaced "two_factor_replaced" Change page NotMe;
            /// All backup codes were replaced, with the password; with a link that ends sessions and clears the password.
            /// The codes stay until they are replaced again.
            BackupCodesReplaced "backup_codes_replaced" Warning page NotMe;
            /// The password was right and the second factor was not; with a link that ends sessions and clears the
            /// password.
            SecondFactorFailed "second_factor_failed" Warning page NotMe;
            /// A backup code was used in place of the second factor; with a link that ends sessions and clears the
            /// password.
            BackupCodeUsed "backup_code_used" Warning page NotMe;
            /// The password is off after too many wrong guesses, until it is set anew.
            PasswordOff "password_off" Lockout;
            /// A client wanted an account at an address that another account left a short while ago.
            AddressReserved "address_reserved" FormerAddress budget "sign-up";
            /// An account was shut, because the address that a taking-back restores belongs to another account.
            AccountShut "account_shut" Change;
            /// This address lost an account by a revert or a second factor; with a link that claims the account, which
            /// shuts it.
            AddressLost "address_lost" Dispute page NotMe;
            /// More than one address claims an account, which is shut; with a link that decides by a second factor.
            AccountDisputed "account_disputed" Dispute page NotMe;
            /// A dispute ended for another address.
            DisputeSettled "dispute_settled" Dispute;
        }
    };
}

macro_rules! purposes {
    ($(
        $(#[$doc:meta])*
        $purpose:ident $name:literal $audience:ident $(budget $budget:literal)? $(page $page:ident)?;
    )*) => {
        /// What a mail is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum MailPurpose {
            $($(#[$doc])* $purpose,)*
        }

        impl MailPurpose {
            /// All purposes.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$purpose),*];

            /// The name in stores, events and templates.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$purpose => $name,)*
                }
            }

            /// Returns what the worker compares a mail with before it sends it.
            pub(crate) const fn audience(self) -> Audience {
                match self {
                    $(Self::$purpose => Audience::$audience,)*
                }
            }

            /// The kind of mail that a recipient's budget counts; `None` for a notice, which no budget withholds.
            ///
            /// Purposes share a kind where one request leads to one or the other: the budget that a request uses must not
            /// depend on the account.
            pub(crate) const fn budget(self) -> Option<&'static str> {
                match self {
                    $(Self::$purpose => purposes!(@optional $($budget)?),)*
                }
            }

            /// Returns the page of the front-end that the link leads to; `None` for a mail without a token.
            pub const fn page(self) -> Option<LinkPage> {
                match self {
                    $(Self::$purpose => purposes!(@optional $(LinkPage::$page)?),)*
                }
            }
        }
    };
    (@optional) => { None };
    (@optional $value:expr) => { Some($value) };
}

messages!(purposes);

impl MailPurpose {
    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// The kind of recipient, by which the worker decides whether a mail still fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The account of the address, as it is then. Another purpose may take the place of the one that was queued.
    Address,
    /// An address that an account asked to move to.
    Candidate,
    /// An address that an account left a short while ago.
    FormerAddress,
    /// The owner of an account that changed: sent once the account has the version that the change led to.
    Change,
    /// The owner of an account whose password another person may know.
    Warning,
    /// The owner of an account whose password is off.
    Lockout,
    /// An address that claims a disputed account, or claimed it.
    Dispute,
}

/// A page of the front-end that a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkPage {
    /// Proves the mailbox of a new account.
    VerifyAccount,
    /// Sets a password.
    SetPassword,
    /// Moves an account to another address.
    ChangeEmail,
    /// Reverts a change, claims an account, or removes one.
    NotMe,
}
