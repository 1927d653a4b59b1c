//! The model's addresses: sign-up, proof of a mailbox, moves, and what an account leaves behind.

use auth_core::Reason;
use auth_core::port::MailPurpose;
use auth_core::types::UserStatus;

use super::account::{Account, Mail, Mailed, Model, Principal, Step, whole};
use super::common::{DAY, MINUTE};
use super::factors::Code;
use super::ops::{Kind, Mover};

/// The name that a sign-up of a principal asks for.
pub(crate) fn name_of(by: Principal) -> u8 {
    if by == Principal::Ada { 254 } else { 255 }
}

impl Model {
    /// The account for which an address is kept from all others.
    fn kept_for(&self, address: usize) -> Option<usize> {
        self.kept.get(&address).filter(|(_, end)| self.now < *end).map(|(account, _)| *account)
    }

    /// Whether an account may neither verify nor move to an address because another one left it.
    fn is_kept_from(&self, address: usize, account: usize) -> bool {
        self.kept_for(address).is_some_and(|left_by| left_by != account)
    }

    /// The mail that an intent for an address comes to.
    pub(crate) fn by_address(&self, to: usize, purpose: MailPurpose) -> Vec<Mail> {
        let Some(number) = self.at(to).filter(|number| !self.accounts[*number].is_deleted()) else { return vec![] };
        let account = &self.accounts[number];
        let closed = matches!(account.status, UserStatus::Deactivated { .. });
        let purpose = match (purpose, account.status) {
            (MailPurpose::VerifyEmail, _) => purpose,
            (_, UserStatus::Disabled) if !account.is_disputed() => MailPurpose::AccountDisabled,
            (MailPurpose::AccountExists, UserStatus::Deactivated { .. }) => MailPurpose::AccountDeactivated,
            _ => purpose,
        };
        let sent = match purpose {
            _ if closed && account.is_lapsed(self.now) => false,
            MailPurpose::VerifyEmail => !account.verified && account.is_active(),
            MailPurpose::SetPassword => !account.verified || account.password.is_none(),
            _ => true,
        };
        if sent { vec![Mail { account: number, to, purpose, version: account.version }] } else { vec![] }
    }
}

impl Step {
    pub(crate) fn sign_up(&mut self, to: usize, password: usize) {
        let holder = self.after.at(to);
        let lapsed = holder.filter(|number| self.after.accounts[*number].is_lapsed(self.after.now));
        if let Some(lapsed) = lapsed {
            self.after.accounts[lapsed].vanish();
            self.after.kept.retain(|_, (account, _)| *account != lapsed);
        }
        let Some(holder) = holder.filter(|_| lapsed.is_none()) else {
            if let Some(account) = self.after.kept_for(to) {
                let version = self.after.accounts[account].version;
                self.mails = vec![Mail { account, to, purpose: MailPurpose::AddressReserved, version }];
                return;
            }
            self.subject = Some(self.after.accounts.len());
            let account = Account::new(to, password, name_of(self.by), self.after.now);
            self.after.accounts.push(account);
            self.mails = self.after.by_address(to, MailPurpose::VerifyEmail);
            return;
        };
        self.subject = Some(holder);
        let account = self.account();
        let purpose = if account.verified || account.status != UserStatus::Active {
            MailPurpose::AccountExists
        } else if account.password == Some(password) {
            MailPurpose::VerifyEmail
        } else {
            if account.password.take().is_some() {
                account.name = None;
                account.version += 1;
            }
            MailPurpose::SetPassword
        };
        self.mails = self.after.by_address(to, purpose);
    }

    pub(crate) fn ask_email(&mut self, token: usize, to: usize, password: Option<usize>) -> Result<(), Reason> {
        let shown = self.after.sessions[self.after.issued[token].session].shown.recently(self.after.now);
        self.within(token, password, |_, _| {})?;
        let proven = match self.account().factors {
            Some(_) => shown.totp.is_some(),
            None => password.is_some() || shown.password.or(shown.totp).is_some(),
        };
        if !proven {
            return Err(Reason::ReauthenticationRequired);
        }
        let (own, after) = (self.subject.unwrap(), &self.after);
        let holder = after.at(to).filter(|holder| after.accounts[*holder].verified);
        match holder.map(|holder| (holder, &after.accounts[holder])) {
            _ if after.at(to) == Some(own) => {}
            Some((_, holder)) if holder.is_deleted() => {}
            Some((account, holder)) => {
                let version = holder.version;
                self.mails.push(Mail { account, to, purpose: MailPurpose::EmailTaken, version });
            }
            None if after.is_kept_from(to, own) => self.mail(to, MailPurpose::AddressReserved),
            None => self.mail(to, MailPurpose::ChangeEmail),
        }
        Ok(())
    }

    pub(crate) fn use_link(&mut self, kind: Kind, mailed: &Mailed, password: usize) -> Result<(), Reason> {
        let Mailed { mail, end, .. } = mailed;
        let number = mail.account;
        self.subject = Some(number);
        let (now, kept) = (self.after.now, self.after.is_kept_from(mail.to, number));
        let in_time = whole(now) < *end;
        let account = self.account();
        let stands = in_time && account.version == mail.version && !account.gone;
        match kind {
            Kind::Verify if !stands => Err(Reason::LinkInvalid),
            Kind::Verify if account.verified => Err(Reason::AlreadyVerified),
            Kind::Verify if kept => Err(Reason::LinkInvalid),
            Kind::Verify => {
                account.verified = true;
                Ok(())
            }
            Kind::SetPassword => {
                let opens = match account.status {
                    UserStatus::Active => true,
                    UserStatus::Deactivated { .. } => !account.is_lapsed(now),
                    UserStatus::Disabled => account.is_disputed(),
                    UserStatus::Deleted => false,
                };
                if !stands || !opens || (!account.verified && kept) {
                    return Err(Reason::LinkInvalid);
                }
                if !account.verified {
                    account.name = None;
                    account.factors = None;
                }
                account.verified = true;
                if account.status != UserStatus::Disabled {
                    account.status = UserStatus::Active;
                }
                self.settle_by_reset();
                self.change_password(password);
                Ok(())
            }
            Kind::NotMe => self.take_back(mail, in_time),
            Kind::ChangeEmail | Kind::Object => unreachable!("they have operations of their own"),
        }
    }

    /// By the link that was mailed to the new address.
    pub(crate) fn move_account(&mut self, mailed: &Mailed, mover: Mover<usize>) -> Result<(), Reason> {
        let Mailed { mail, end, newest, .. } = mailed;
        self.subject = Some(mail.account);
        let in_time = whole(self.after.now) < *end;
        let account = self.account();
        let stands = in_time && account.is_active() && account.version == mail.version && account.newest == *newest;
        if !stands {
            return Err(Reason::LinkSpent);
        }
        match mover {
            Mover::Session(token) => {
                let session = self.after.issued[token].session;
                let own = self.after.sessions[session].account == mail.account;
                if !own || !self.after.fits(session) {
                    return Err(Reason::NotAuthenticated);
                }
            }
            Mover::Password(password) if account.password != Some(password) => return Err(Reason::WrongPassword),
            Mover::Password(_) if account.factors.is_some() => {
                let code = self.after.authenticator_of(self.by, mail.account).ok_or(Reason::InvalidFields)?;
                self.spend(Code::Totp(code, 0))?;
            }
            Mover::Password(_) => {}
        }
        let holder = self.after.at(mail.to).filter(|holder| *holder != mail.account);
        let verified = holder.is_some_and(|holder| self.after.accounts[holder].verified);
        if verified || self.after.is_kept_from(mail.to, mail.account) {
            return Err(Reason::InvalidFields);
        }
        let left = self.account().email.unwrap();
        self.account().version += 1;
        self.relocate(mail.to);
        self.notify(left, MailPurpose::EmailChanged);
        self.notify(mail.to, MailPurpose::EmailConfirmed);
        Ok(())
    }

    /// By an operator. A sign-up for the address that was never verified gives way, and no address is kept.
    pub(crate) fn set_email(&mut self, number: usize, to: usize) -> Result<(), Reason> {
        self.subject = Some(number);
        let account = self.account();
        if account.is_deleted() {
            return Err(Reason::UserNotFound);
        }
        if !account.verified {
            (account.password, account.name, account.factors) = (None, None, None);
        }
        account.verified = true;
        account.version += 1;
        let left = account.email.replace(to).unwrap();
        self.notify(left, MailPurpose::EmailSet);
        self.notify(to, MailPurpose::EmailConfirmed);
        Ok(())
    }

    /// The account has another address from now on. An unverified account there gives way, and the address that it leaves
    /// is kept for it.
    pub(crate) fn relocate(&mut self, to: usize) {
        let (number, left) = (self.subject.unwrap(), self.account().email.unwrap());
        if left == to {
            return;
        }
        if let Some(holder) = self.after.at(to) {
            let holder = &mut self.after.accounts[holder];
            assert!(!holder.verified, "a verified account has an address that another one can take back");
            holder.email = None;
            holder.status = UserStatus::Deleted;
            holder.version += 1;
            holder.password = None;
            holder.name = None;
        }
        let lasts = self.after.now + 3 * DAY;
        let kept = self.after.kept.get(&left).copied().filter(|(owner, end)| {
            let theirs = *owner != number && self.after.now < *end;
            theirs || *end > lasts
        });
        self.after.kept.insert(left, kept.unwrap_or((number, lasts + MINUTE)));
        let account = self.account();
        account.email = Some(to);
        account.verified = true;
    }
}
