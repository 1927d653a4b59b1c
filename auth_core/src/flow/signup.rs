use std::fmt;

use super::{MAX_ATTEMPTS, contended};
use crate::AuthSystem;
use crate::error::{Error, FieldError, FieldReason};
use crate::port::{Event, MailPurpose, NewUser, Unique, UserChange, UserInsert, UserKey, UserUpdate};
use crate::proof::verify_password;
use crate::types::{Attributes, Client, Email, Password, PasswordHash, Personal, TokenVersion, User, UserId, Username};

/// An account that somebody wants. All texts are as the client sent them.
pub struct SignUpRequest<'a> {
    /// The address.
    pub email: &'a str,
    /// The username, where usernames are on; ignored where they are off.
    pub username: Option<&'a str>,
    /// The password.
    pub password: &'a str,
    /// The application's own fields, by name; those that the policy does not know are dropped.
    pub attributes: Vec<(&'a str, &'a str)>,
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

/// The fields of a request, canonical and acceptable.
struct Fields {
    email: Email,
    username: Option<Username>,
    password: Password,
    attributes: Attributes,
}

impl Fields {
    fn personal(&self) -> Personal<'_> {
        Personal { email: Some(&self.email), username: self.username.as_ref() }
    }
}

/// What an account that exists already makes of a sign-up for its address.
#[derive(Debug, PartialEq, Eq)]
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

impl AuthSystem {
    /// Makes an account, unverified, and queues the mail that verifies it.
    ///
    /// For an address that has an account the answer and the work are the same, and a mail tells its owner. If that
    /// account is unverified and the password another one, the stored password is cleared and the mail asks to set one:
    /// otherwise whoever signed up first would share the account with the mailbox's owner.
    ///
    /// # Errors
    /// `invalid_fields`, with `taken` for a username, and for an address where the policy says so; `overloaded`;
    /// `unavailable`.
    pub async fn sign_up(&self, client: &Client, request: SignUpRequest<'_>) -> Result<SignedUp, Error> {
        let fields = self.accept_sign_up(&request)?;
        // Before anything is looked up, so that a known address costs and answers the same.
        self.ask_password_check(client, "password", &fields.password, fields.personal()).await?;
        let mut hash: Option<PasswordHash> = None;
        for _ in 0..MAX_ATTEMPTS {
            // Looked up for every address, so that a known one costs no less.
            let left_by = self.left_by_another(&client.tenant, &fields.email, None).await?;
            if let Some(user) = self.find_by_email(client, &fields.email).await? {
                if self.sign_up_again(client, &fields, user).await? {
                    return Ok(SignedUp);
                }
                continue;
            }
            let hash = match &hash {
                Some(hash) => hash.clone(),
                None => hash.insert(self.hash(client, &fields.password).await?).clone(),
            };
            if let Some(left_by) = left_by {
                self.sign_up_at_former_email(client, &fields.email, fields.username.as_ref(), left_by).await?;
                return Ok(SignedUp);
            }
            match self.ports().users.insert(&self.new_user(client, &fields, hash)?).await? {
                UserInsert::Created(user) => {
                    self.record(&client.tenant, Event::SignedUp { user: user.id });
                    self.queue_mail(client, &user.email, MailPurpose::VerifyEmail).await?;
                    return Ok(SignedUp);
                }
                UserInsert::Conflict(Unique::Username) => return Err(taken(&["username"])),
                UserInsert::Conflict(Unique::Email) => {}
            }
        }
        Err(contended())
    }

    /// The address has an account. `false` when it changed meanwhile and everything must be looked at again.
    async fn sign_up_again(&self, client: &Client, fields: &Fields, user: User) -> Result<bool, Error> {
        let ports = self.ports();
        // A proven account's password is not for guessing here: the check then runs against none, at the same cost.
        let against = (!user.is_verified()).then_some(&user);
        let (hasher, clock) = (ports.hasher.as_ref(), ports.clock.as_ref());
        let ticket = hasher.admit(client.lane())?;
        let proof = verify_password(hasher, clock, ports.events.as_ref(), ticket, against, &fields.password).await?;
        let namesake = match &fields.username {
            Some(username) => ports.users.find(&client.tenant, UserKey::Username(username)).await?,
            None => None,
        };
        if self.policy().reveal_taken_emails {
            return Err(if namesake.is_some() { taken(&["email", "username"]) } else { taken(&["email"]) });
        }
        // Refused as it would be for an unknown address, or the answer would tell that this one is known. The namesake
        // may repeat their own sign-up.
        if namesake.is_some_and(|namesake| namesake.id != user.id || proof.is_none()) {
            return Err(taken(&["username"]));
        }
        // Another spelling may be another mailbox: until one is proven, mail goes to the one that was typed last, and what
        // the other one was told counts no more.
        let respelt = !user.is_verified() && !user.email.spelling().eq_ignore_ascii_case(fields.email.spelling());
        let decision = decide(&user, proof.is_some() && !respelt);
        let password_cleared = decision == Decision::ClearPassword;
        if password_cleared || respelt {
            let email = respelt.then(|| fields.email.clone());
            let change = UserChange { email, password_hash: password_cleared.then_some(None), ..UserChange::default() };
            match ports.users.update_if(&user, &change).await? {
                UserUpdate::Done(user) => self.account_changed(&user),
                UserUpdate::Stale | UserUpdate::Conflict(_) => return Ok(false),
            }
        } else {
            // In place of the account that an unknown address gets.
            ports.users.dummy_write(&format!("account of {}", user.email.as_str())).await?;
        }
        let purpose = match decision {
            Decision::TellOwner => MailPurpose::AccountExists,
            Decision::SendAgain => MailPurpose::VerifyEmail,
            Decision::ClearPassword | Decision::AskForPassword => MailPurpose::SetPassword,
        };
        self.record(&client.tenant, Event::SignUpRepeated { user: user.id, password_cleared });
        self.queue_mail(client, &user.email, purpose).await?;
        Ok(true)
    }

    fn new_user(&self, client: &Client, fields: &Fields, hash: PasswordHash) -> Result<NewUser, Error> {
        Ok(NewUser {
            tenant: client.tenant,
            id: UserId::from(self.new_id()?),
            email: fields.email.clone(),
            username: fields.username.clone(),
            email_verified_at: None,
            password_hash: Some(hash),
            token_version: TokenVersion::new(self.random_bits()?),
            attributes: fields.attributes.clone(),
            created_at: self.ports().clock.now(),
        })
    }

    /// All that is wrong with the fields, or the fields.
    fn accept_sign_up(&self, request: &SignUpRequest<'_>) -> Result<Fields, Error> {
        let policy = self.policy();
        let mut errors = Vec::new();
        let mut wrong = |field, reason| errors.push(FieldError { field, reason });
        let email = Email::parse(request.email).map_err(|_| wrong("email", FieldReason::InvalidEmail)).ok();
        let username = match request.username.filter(|_| policy.usernames) {
            Some(name) => Username::parse(name).map_err(|_| wrong("username", FieldReason::InvalidUsername)).ok(),
            None => None,
        };
        let mut attributes = Attributes::new();
        for rule in &policy.attributes {
            let Some((_, value)) = request.attributes.iter().find(|(name, _)| *name == rule.name) else { continue };
            if !rule.permits(value) {
                wrong(rule.name, FieldReason::TooLong(rule.max_chars));
            }
            attributes.insert(rule.name.to_owned(), (*value).into());
        }
        let personal = Personal { email: email.as_ref(), username: username.as_ref() };
        let password = policy.password.accept("password", request.password, personal);
        let password = password.map_err(|wrong| errors.extend(wrong)).ok();
        match (email, password) {
            (Some(email), Some(password)) if errors.is_empty() => Ok(Fields { email, username, password, attributes }),
            _ => Err(Error::invalid_fields(errors)),
        }
    }
}
