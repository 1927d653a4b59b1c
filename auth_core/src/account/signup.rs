use std::fmt;

use crate::Request;
use crate::budget::{Budget, Guesser};
use crate::commit::{Change, until_won};
use crate::error::{Error, FieldError, FieldReason, Reason};
use crate::policy::NewPassword;
use crate::port::{
    AttemptKey, Event, LoginRecord, MailPurpose, NewUser, RecordOutcome, Unique, UserChange, UserInsert, UserKey,
};
use crate::proof::verify_password;
use crate::types::{Attributes, Claim, Email, PasswordHash, Personal, TokenVersion, User, UserId, Username};

/// An account that a client wants.
#[non_exhaustive]
pub struct SignUpRequest<'a> {
    /// The address.
    pub email: Email,
    /// The username, where usernames are on; ignored where they are off.
    pub username: Option<Username>,
    /// The password.
    pub password: NewPassword,
    /// The application's own fields, by name; those that the policy does not know are dropped.
    pub attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> SignUpRequest<'a> {
    /// An account without a username and attributes.
    pub fn new(email: Email, password: NewPassword) -> Self {
        Self { email, username: None, password, attributes: Vec::new() }
    }

    /// Sets the username.
    #[must_use]
    pub fn username(self, username: Option<Username>) -> Self {
        Self { username, ..self }
    }

    /// Sets the application's own fields.
    #[must_use]
    pub fn attributes(self, attributes: Vec<(&'a str, &'a str)>) -> Self {
        Self { attributes, ..self }
    }
}

/// Shows nothing that the client sent.
impl fmt::Debug for SignUpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignUpRequest").finish_non_exhaustive()
    }
}

/// What a client may know of its sign-up: that it was taken. Whether an account was made is in the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedUp;

/// The fields of a request, by the rules of the policy.
struct Fields {
    email: Email,
    username: Option<Username>,
    password: NewPassword,
    attributes: Attributes,
}

impl Fields {
    fn personal(&self) -> Personal<'_> {
        Personal { email: Some(&self.email), username: self.username.as_ref() }
    }
}

/// What an account that exists already makes of a sign-up for its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// Its mailbox is proven: tell its owner.
    TellOwner,
    /// The same password again: send the verification mail again.
    SendAgain,
    /// Nobody has proven the mailbox, and two passwords are claimed: neither counts. The mailbox decides.
    ClearPassword,
    /// As before, and there is no password left to clear.
    AskForPassword,
}

fn decide(user: &User, same_password: bool) -> Decision {
    match (user.is_verified() || !user.is_active(), same_password, &user.password_hash) {
        (true, _, _) => Decision::TellOwner,
        (false, true, _) => Decision::SendAgain,
        (false, false, Some(_)) => Decision::ClearPassword,
        (false, false, None) => Decision::AskForPassword,
    }
}

fn taken(fields: &[&'static str]) -> Error {
    let error = |field: &&'static str| FieldError { field, reason: FieldReason::Taken };
    Error::invalid_fields(fields.iter().map(error).collect())
}

impl Request<'_> {
    /// Makes an account, unverified, and queues the mail that verifies it.
    ///
    /// For an address that has an account the answer and the work are the same, and a mail tells its owner. If that
    /// account is unverified and the password another one, the stored password is cleared with all else that the first
    /// sign-up chose, and the mail asks to set one: otherwise a stranger who signed up first would share the account with
    /// the mailbox's owner. This holds where the answer says that the address or the username is taken, too.
    ///
    /// A password of an unverified account is checked as at a login: the attempt is counted first, in a timed window of
    /// the address and on the row, where logins are counted too. Past a limit it is taken for a wrong one. The window is
    /// not that of the login: sign-ups by strangers must not keep an owner from logging in.
    ///
    /// # Errors
    /// `invalid_fields`, with `taken` for a username, and for an address where the policy says so; `overloaded`;
    /// `unavailable`.
    pub async fn sign_up(&self, request: SignUpRequest<'_>) -> Result<SignedUp, Error> {
        let fields = self.accept_sign_up(request)?;
        // Before anything is looked up, so that a known address costs and answers the same.
        self.ask_password_check("password", &fields.password, fields.personal()).await?;
        let in_time = self.count_sign_up(&fields).await?;
        let mut hash: Option<PasswordHash> = None;
        until_won!({
            // Looked up for every address, so that a known one costs no less.
            let left_by = self.left_by_another(self.tenant(), &fields.email, None).await?;
            if let Some(user) = self.find_by_email(&fields.email).await? {
                if self.is_lapsed(&user) {
                    self.remove_lapsed(&user).await?;
                } else if self.sign_up_again(&fields, user, in_time).await? {
                    return Ok(Some(SignedUp));
                }
                return Ok(None);
            }
            let hash = match &hash {
                Some(hash) => hash.clone(),
                None => hash.insert(self.hash(fields.password.as_password()).await?).clone(),
            };
            if let Some(left_by) = left_by {
                self.sign_up_at_former_email(&fields.email, fields.username.as_ref(), left_by).await?;
                return Ok(Some(SignedUp));
            }
            let row = fields.email.as_str();
            self.count_failure(None, row, Guesser::Stranger).await?;
            let new = self.new_user(&fields, hash)?;
            match self.insert_user(Event::SignedUp { user: new.id }, &new).await? {
                UserInsert::Created(user) => {
                    self.queue_mail(&user.email, MailPurpose::VerifyEmail).await?;
                    return Ok(Some(SignedUp));
                }
                UserInsert::Conflict(Unique::Username) if self.free_username(&fields).await? => {}
                UserInsert::Conflict(Unique::Username) => {
                    // Two writes, as for a known address.
                    self.ports().users.dummy_write(&format!("account of {row}")).await?;
                    self.queue_mail(&fields.email, MailPurpose::VerifyEmail).await?;
                    return Err(taken(&["username"]));
                }
                UserInsert::Conflict(Unique::Email) => {}
            }
            Ok(None)
        })
    }

    async fn namesake(&self, fields: &Fields) -> Result<Option<User>, Error> {
        match &fields.username {
            Some(username) => Ok(self.ports().users.find(self.tenant(), UserKey::Username(username)).await?),
            None => Ok(None),
        }
    }

    /// Whether another sign-up may have the username of this account: no mailbox was proven while the first link worked.
    fn forfeits_username(&self, user: &User) -> bool {
        user.is_unclaimed() && user.created_at + self.policy().verify_link_lifetime <= self.ports().clock.now()
    }

    /// Takes the username from an account that forfeits it. Returns `false` if the username stays taken.
    async fn free_username(&self, fields: &Fields) -> Result<bool, Error> {
        let Some(namesake) = self.namesake(fields).await? else { return Ok(true) };
        if !self.forfeits_username(&namesake) {
            return Ok(false);
        }
        let nameless = UserChange { clear_username: true, ..UserChange::default() };
        // Another sign-up may have been faster; then the next attempt to insert tells.
        self.commit(&namesake, Change::new(Event::UsernameForfeited { user: namesake.id }, nameless)).await?;
        Ok(true)
    }

    pub(crate) fn sign_up_budget(&self, email: &Email) -> Budget {
        let parts = [self.tenant().as_str().as_bytes(), email.as_str().as_bytes()];
        Budget { key: AttemptKey::new("signup/identifier", &parts), limit: self.policy().login_attempts }
    }

    /// Counts an attempt at the account of the address, whether it exists or not. Returns `false` past the limit. The
    /// password is not checked then, and nothing else differs.
    async fn count_sign_up(&self, fields: &Fields) -> Result<bool, Error> {
        match self.count_attempt(&self.sign_up_budget(&fields.email)).await {
            Ok(()) => Ok(true),
            Err(error) if error.reason() == Reason::Throttled => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The address has an account. `false` when it changed meanwhile and everything must be looked at again.
    async fn sign_up_again(&self, fields: &Fields, user: User, in_time: bool) -> Result<bool, Error> {
        let ports = self.ports();
        let reveals = self.policy().reveal_taken_emails;
        let ticket = ports.hasher.admit(self.client().lane())?;
        // A proven account's password is not for guessing here: the check then runs against none, at the same cost.
        let guessed_at = user.password_hash.is_some() && !user.is_verified() && user.is_active();
        let open = Some(&user).filter(|_| in_time && guessed_at);
        let counted = self.count_failure(open, fields.email.as_str(), Guesser::Stranger).await?;
        // A sign-up that clears the password also starts the count anew. What was read before must not be compared then, or
        // parallel guesses would pass the limit.
        let now = self.find_by_email(&fields.email).await?;
        if now.is_none_or(|now| (now.id, now.revision) != (user.id, user.revision)) {
            return Ok(false);
        }
        let against = open.filter(|_| counted);
        let proof = verify_password(ports, ticket, against, fields.password.as_password()).await?;
        let namesake = self.namesake(fields).await?.filter(|namesake| !self.forfeits_username(namesake));
        let named = namesake.is_some();
        // Another spelling may be another mailbox: until one is proven, mail goes to the one that was typed last, and what
        // the other one was told counts no more.
        let respelt = !user.is_verified() && !user.email.spelling().eq_ignore_ascii_case(fields.email.spelling());
        let respelling = respelt.then_some(&fields.email);
        // The namesake may repeat its own sign-up.
        let refused = namesake.is_some_and(|namesake| namesake.id != user.id || proof.is_none());
        let decision = decide(&user, proof.is_some() && !respelt);
        // Before the answer: a username that a stranger chose must not turn the owner's sign-up into one that does nothing.
        if !self.write_repeated(&user, decision, respelling).await? {
            return Ok(false);
        }
        let purpose = match decision {
            // The answer tells the client what is taken, so the owner need not be asked.
            Decision::TellOwner if (reveals || refused) && user.is_active() => None,
            Decision::TellOwner => Some(MailPurpose::AccountExists),
            Decision::SendAgain => Some(MailPurpose::VerifyEmail),
            Decision::ClearPassword | Decision::AskForPassword => Some(MailPurpose::SetPassword),
        };
        match purpose {
            Some(purpose) => self.queue_mail(&user.email, purpose).await?,
            None => self.queue_no_mail(user.email.as_str()).await?,
        }
        match (reveals, refused) {
            (true, _) if named => Err(taken(&["email", "username"])),
            (true, _) => Err(taken(&["email"])),
            // Refused as it would be for an unknown address, or the answer would tell that this one is known.
            (false, true) => Err(taken(&["username"])),
            (false, false) => Ok(true),
        }
    }

    /// Makes one write for each decision, so that all take as long. Returns `false` if the row changed meanwhile.
    async fn write_repeated(&self, user: &User, decision: Decision, respelling: Option<&Email>) -> Result<bool, Error> {
        let event = Event::SignUpRepeated { user: user.id, password_cleared: decision == Decision::ClearPassword };
        match (decision, respelling) {
            (Decision::ClearPassword, _) | (Decision::AskForPassword, Some(_)) => {
                // Of an account that an operator made, only the password is in doubt.
                let password_alone = UserChange { password_hash: Some(None), ..UserChange::default() };
                let change = if user.is_unclaimed() { UserChange::disowning() } else { password_alone };
                let change = UserChange { email: respelling.cloned(), ..change };
                if self.commit(user, Change::new(event, change)).await?.is_none() {
                    return Ok(false);
                }
                self.remove_credentials(&user.tenant, &user.factors).await;
            }
            // Takes back what was counted for the right password.
            (Decision::SendAgain, _) => {
                let begun = self.begin(Some(user.id), vec![event]).await?;
                let forgotten = LoginRecord { at: None, rehash: None };
                self.ports().users.record_login(&user.tenant, &user.id, &forgotten).await?;
                self.settle(begun, RecordOutcome::Done).await;
            }
            // In place of the account that an unknown address gets.
            (Decision::TellOwner, _) | (Decision::AskForPassword, None) => {
                self.change_nothing(event, user.id, &format!("account of {}", user.email.as_str())).await?;
            }
        }
        Ok(true)
    }

    fn new_user(&self, fields: &Fields, hash: PasswordHash) -> Result<NewUser, Error> {
        Ok(NewUser {
            tenant: *self.tenant(),
            id: UserId::from(self.new_id()?),
            email: fields.email.clone(),
            username: fields.username.clone(),
            email_verified_at: None,
            claim: Claim::SignUp { from: self.client().address },
            password_hash: Some(hash),
            token_version: TokenVersion::new(self.random_bits()?),
            attributes: fields.attributes.clone(),
            created_at: self.ports().clock.now(),
        })
    }

    /// All that is wrong with the fields, or the fields.
    fn accept_sign_up(&self, request: SignUpRequest<'_>) -> Result<Fields, Error> {
        let (policy, mut errors) = (self.policy(), Vec::new());
        let mut attributes = Attributes::new();
        for rule in &policy.attributes {
            let Some((_, value)) = request.attributes.iter().find(|(name, _)| *name == rule.name) else { continue };
            if !rule.permits(value) {
                errors.push(FieldError { field: rule.name, reason: FieldReason::TooLong(rule.max_chars) });
            }
            attributes.insert(rule.name.to_owned(), (*value).into());
        }
        let SignUpRequest { email, password, username, .. } = request;
        let fields = Fields { email, username: username.filter(|_| policy.usernames), password, attributes };
        if let Some(known) = policy.password.is_like(&fields.password, fields.personal()) {
            errors.push(FieldError { field: "password", reason: FieldReason::PasswordTooSimilar(known) });
        }
        if errors.is_empty() { Ok(fields) } else { Err(Error::invalid_fields(errors)) }
    }
}
