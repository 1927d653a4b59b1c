use std::fmt;
use std::time::Duration;

use constant_time_eq::constant_time_eq;
use sha2::{Digest as _, Sha256};

use crate::Request;
use crate::commit::{Change, housekeeping, until_won};
use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::factor::code::wrong_code;
use crate::factor::step_up::{Confirmation, Strength};
use crate::port::{Event, MailMatter, MailPurpose, StoreError, UserChange, UserKey};
use crate::proof::LiveSession;
use crate::token::{SealedLink, SealedPurpose};
use crate::types::{
    Email, FactorKind, Password, Payload, PendingId, PendingPurpose, PendingSession, PendingSubject, Scope, User,
    UserId,
};

/// A request to move an account to another address.
#[derive(Debug)]
pub struct EmailChangeRequest<'a> {
    /// The address.
    pub new_email: &'a Email,
    /// Proofs sent along: needed when none was shown in the session a short while ago.
    pub confirmation: Confirmation<'a>,
}

/// A mailed link to a new address, and who confirms it.
pub struct EmailChangeConfirm<'a> {
    /// The user that the link names.
    pub user: Option<UserId>,
    /// The link's token.
    pub token: &'a str,
    /// The proof that the caller holds the account, beside the link.
    pub mover: Mover<'a>,
}

/// Shows nothing that the client sent.
impl fmt::Debug for EmailChangeConfirm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailChangeConfirm").finish_non_exhaustive()
    }
}

/// The caller that confirms a change of address. A reader of the mail alone is not enough: an attacker could mail the
/// link of an account of theirs to a stranger, whose click would lend that account the stranger's address.
#[derive(Clone, Copy, Debug)]
pub enum Mover<'a> {
    /// A caller that shows nothing but the link.
    Unknown,
    /// A caller with a live session.
    Session(&'a LiveSession),
    /// A caller that gives the password.
    Password {
        /// The password.
        password: &'a Password,
        /// A code of the authenticator: needed where the account has a second factor.
        code: Option<&'a str>,
    },
}

const VERSION: u16 = 1;
const SERIAL_BYTES: usize = 16;
/// The longest way of a mail to its mailbox, retries included. The newest request is remembered for as long, and for the
/// life of its link.
const DELIVERY: Duration = Duration::from_secs(24 * 60 * 60);

fn wrong(field: &'static str, reason: FieldReason) -> Error {
    Error::invalid_fields(vec![FieldError { field, reason }])
}

fn taken() -> Error {
    wrong("new_email", FieldReason::AddressInUse)
}

/// The place of an account's newest request: a later one replaces it.
fn newest_id(user: &User) -> PendingId {
    let (tenant, id) = (user.tenant.as_str(), user.id.as_str());
    PendingId::of(PendingPurpose::EmailChange, format!("{} {tenant} {id}", tenant.len()).as_bytes())
}

/// The newest request for a change of address. It names no address: a digest tells whether a mail is for it.
struct Newest {
    serial: [u8; SERIAL_BYTES],
    target: [u8; 32],
}

impl Newest {
    fn new(serial: [u8; SERIAL_BYTES], to: &Email) -> Self {
        let target = Sha256::new().chain_update(serial).chain_update(to.as_str()).finalize().into();
        Self { serial, target }
    }

    fn payload(&self) -> Payload {
        Payload { version: VERSION, bytes: [&self.serial[..], &self.target].concat() }
    }

    fn read(payload: &Payload) -> Option<Self> {
        let (serial, target) = payload.bytes.split_first_chunk()?;
        let target = target.try_into().ok().filter(|_| payload.version == VERSION)?;
        Some(Self { serial: *serial, target })
    }

    fn is_for(&self, to: &Email) -> bool {
        constant_time_eq(&Self::new(self.serial, to).target, &self.target)
    }
}

impl Request<'_> {
    /// Queues a mail with a link to the new address; only that link moves the account. A later request kills the links
    /// of earlier ones.
    ///
    /// The answer and the work are the same for any address. Whether another account has it is looked up when the mail
    /// is sent; its owner is told then. The link itself carries the address, and the store keeps a digest of it.
    ///
    /// # Errors
    /// `invalid_fields` for an address that is taken, where the policy says so (`new_email`);
    /// `reauthentication_required` without a recent proof, which on an account with a second factor is a code of it;
    /// `wrong_password`; `invalid_code`; `throttled`; `not_authenticated` and its like; `overloaded`; `unavailable`.
    pub async fn request_email_change(&self, live: &LiveSession, request: EmailChangeRequest<'_>) -> Result<(), Error> {
        let email = request.new_email;
        let user = self.current_user(live).await?;
        self.step_up(live, &user, request.confirmation, Strength::SecondFactor).await?;
        if self.policy().reveal_taken_emails {
            let holder = self.find_by_email(email).await?;
            let left_by = self.left_by_another(&user.tenant, email, Some(&user.id)).await?;
            if left_by.is_some() || holder.is_some_and(|holder| holder.is_verified() || holder.id == user.id) {
                return Err(taken());
            }
        }
        self.remember_newest(&user, email).await?;
        let about = MailMatter { user: user.id, token_version: user.token_version };
        self.queue_within_budget(email, MailPurpose::ChangeEmail, Some(about)).await?;
        self.record(&user.tenant, Event::EmailChangeRequested { user: user.id });
        Ok(())
    }

    /// Moves the account to the address that the link was mailed to, and proves that mailbox. Every session and all
    /// other links die with the same write. Both addresses are told; the old one gets a link that takes it back, and is
    /// kept from other accounts for as long. An unverified account at the new address gives way.
    ///
    /// # Errors
    /// `link_invalid`; `link_spent` for a genuine link that expired, that a later request replaced, or whose account
    /// changed since; `not_authenticated` without a proof that the caller holds the account; `wrong_password`;
    /// `invalid_code`; `throttled`; `invalid_fields` when another account took the address meanwhile, or for a `code`
    /// that is missing; `overloaded`; `unavailable`.
    pub async fn confirm_email_change(&self, request: EmailChangeConfirm<'_>) -> Result<(), Error> {
        let id = request.user.ok_or(Reason::LinkInvalid)?;
        let link = self.tokens().open_link(SealedPurpose::ChangeEmail, *self.tenant(), id, request.token);
        let link = link.ok_or(Reason::LinkInvalid)?;
        let mut user = self.find_movable(&id, &link).await?;
        self.check_mover(&user, request.mover).await?;
        until_won!({
            // Before the announcements. An account that takes the address from here on makes the write a conflict.
            let left_by = self.left_by_another(&user.tenant, &link.email, Some(&user.id)).await?;
            if left_by.is_some() || !self.make_way(&user.id, &link.email).await? {
                return Err(taken());
            }
            self.keep_address(&user).await?;
            let write = UserChange {
                email: Some(link.email.clone()),
                email_verified_at: Some(Some(self.ports().clock.now())),
                ..UserChange::default()
            };
            let change = Change::new(Event::EmailChanged { user: user.id }, write)
                .notify(MailPurpose::EmailChanged, &user.email)
                .notify(MailPurpose::EmailConfirmed, &link.email);
            if self.commit(&user, change).await?.is_none() {
                // The caller proved to hold an account of the link's version: a row with another version ends this.
                user = self.find_movable(&id, &link).await?;
                return Ok(None);
            }
            let (id, now) = (newest_id(&user), self.ports().clock.now());
            housekeeping(self.ports().pending.take(&id, now).await, "forgetting a change of address");
            Ok(Some(()))
        })
    }

    /// The account, if it is still the one that the link was made for.
    async fn find_movable(&self, id: &UserId, link: &SealedLink) -> Result<User, Error> {
        let now = self.ports().clock.now();
        let found = self.ports().users.find(self.tenant(), UserKey::Id(id)).await?;
        let fits = |it: &User| it.is_active() && it.token_version == link.token_version && now < link.expires_at;
        let user = found.filter(fits).ok_or(Reason::LinkSpent)?;
        let newest = self.find_newest(&user).await?.filter(|newest| constant_time_eq(&newest.serial, &link.extra));
        newest.map(|_| user).ok_or_else(|| Reason::LinkSpent.into())
    }

    /// Lets a caller confirm that holds the account. On an account with a second factor a live session is enough, because
    /// the request for the change needed its proof.
    async fn check_mover(&self, user: &User, mover: Mover<'_>) -> Result<(), Error> {
        match mover {
            Mover::Session(live) => {
                let same =
                    (live.tenant(), live.user(), live.token_version()) == (user.tenant, user.id, user.token_version);
                let full = live.scope() == Scope::Full;
                if same && full { Ok(()) } else { Err(Reason::NotAuthenticated.into()) }
            }
            Mover::Password { password, code } => {
                self.confirm_password(user, password).await?.ok_or(Reason::WrongPassword)?;
                if user.factors.is_empty() {
                    return Ok(());
                }
                let code = code.ok_or_else(|| wrong("code", FieldReason::Required))?;
                let spent = self.spend_code_of(user, code, FactorKind::totp()).await?;
                spent.map(|_| ()).ok_or_else(wrong_code)
            }
            Mover::Unknown => Err(Reason::NotAuthenticated.into()),
        }
    }

    /// Remembers a request in place of the one before.
    async fn remember_newest(&self, user: &User, to: &Email) -> Result<(), Error> {
        let mut serial = [0; SERIAL_BYTES];
        self.ports().random.fill(&mut serial).map_err(Error::unavailable)?;
        let pending = PendingSession {
            id: newest_id(user),
            purpose: PendingPurpose::EmailChange,
            tenant: user.tenant,
            subject: Some(PendingSubject::of(user)),
            tries: 0,
            payload: Newest::new(serial, to).payload(),
            expires_at: self.ports().clock.now() + self.policy().change_email_link_lifetime + DELIVERY,
        };
        Ok(self.ports().pending.put(&pending).await?)
    }

    async fn find_newest(&self, user: &User) -> Result<Option<Newest>, StoreError> {
        let found = self.ports().pending.find(&newest_id(user), self.ports().clock.now()).await?;
        let fits = |it: &PendingSession| it.purpose == PendingPurpose::EmailChange && it.fits(user);
        Ok(found.filter(fits).and_then(|pending| Newest::read(&pending.payload)))
    }

    /// The serial for the link to an address, if the account's newest request is for it.
    pub(crate) async fn newest_serial(&self, user: &User, to: &Email) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.find_newest(user).await?.filter(|newest| newest.is_for(to)).map(|newest| newest.serial.to_vec()))
    }
}
