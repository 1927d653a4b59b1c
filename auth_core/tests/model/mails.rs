//! The mails that the model expects, beside those that are sent.

use std::time::Duration;

use auth_core::port::MailPurpose;
use auth_core::testing::SentMail;
use auth_core::types::UserId;

use super::account::{ADDRESSES, Mail, Mailed, Model, whole};
use super::common::{DAY, HOUR, Link};
use super::ops::Kind;
use super::run::{Run, System};

/// Whether a notice reports no change but takes back what comes after it.
fn is_warning(purpose: MailPurpose) -> bool {
    matches!(purpose, MailPurpose::SecondFactorFailed | MailPurpose::BackupCodesReplaced | MailPurpose::BackupCodeUsed)
}

fn lifetime(purpose: MailPurpose) -> Duration {
    match Kind::of(purpose) {
        Some(Kind::Verify | Kind::NotMe | Kind::Object) => 3 * DAY,
        _ => HOUR,
    }
}

impl Model {
    fn learn_link(&mut self, mut mail: Mail, link: Link) {
        mail.version += u32::from(is_warning(mail.purpose));
        let newest = self.accounts[mail.account].newest.clone();
        let end = whole(self.now + lifetime(mail.purpose));
        self.mailed.push(Mailed { mail, end, link, newest });
    }

    /// Mails that became due: those of accounts that are as they were when the mails were queued.
    fn due(&mut self) -> Vec<Mail> {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        let due: Vec<(Duration, Mail)> = due;
        let stands = |mail: &Mail| {
            let account = &self.accounts[mail.account];
            account.version == mail.version && !account.is_deleted()
        };
        due.into_iter().map(|(_, mail)| mail).filter(stands).collect()
    }
}

/// A mail as it lies in a mailbox.
struct Received {
    to: usize,
    purpose: MailPurpose,
    account: Option<usize>,
    link: Option<Link>,
}

impl Received {
    fn is(&self, mail: &Mail) -> bool {
        let same = (self.to, self.purpose) == (mail.to, mail.purpose);
        same && self.account.is_none_or(|account| account == mail.account)
    }

    /// The way to a password that was announced before a change says what the account is after it.
    fn is_turned(&self, mail: &Mail) -> bool {
        let ways = [MailPurpose::ResetPassword, MailPurpose::AccountDisabled];
        self.to == mail.to && ways.contains(&self.purpose) && ways.contains(&mail.purpose)
    }
}

impl<S: System> Run<S> {
    /// Sends all mail that is due.
    pub(super) async fn send(&self) -> Vec<SentMail> {
        while !self.system.auth().deliver_mail().await.unwrap().is_idle() {}
        self.system.mailer().take()
    }

    fn receive(&self, mail: &SentMail) -> Received {
        let to = ADDRESSES.iter().position(|email| *email == mail.to).unwrap();
        let link = mail.link.clone().map(|(user, token)| {
            let user = UserId::parse(&user).unwrap();
            Link { purpose: mail.purpose, user, token }
        });
        let account = link.as_ref().map(|link| self.known.iter().position(|known| known.id == link.user).unwrap());
        assert_eq!(link.is_some(), Kind::of(mail.purpose).is_some());
        Received { to, purpose: mail.purpose, account, link }
    }

    /// Checks that all owed mails were sent, and besides them possible ones only. Takes note of their links.
    pub(super) async fn deliver(&mut self, sent: Vec<SentMail>, owed: Vec<Mail>, mut possible: Vec<Mail>) {
        let sent: Vec<_> = sent.iter().map(|mail| self.receive(mail)).collect();
        let mut expected = owed;
        expected.extend(self.model.due());
        possible.sort_by_key(|mail| mail.version);
        let version = |mail: &Mail| self.model.accounts.get(mail.account).map_or(0, |account| account.version);
        for received in &sent {
            let alike = |other: &&Received| {
                (other.to, other.purpose, other.account) == (received.to, received.purpose, received.account)
            };
            if expected.iter().filter(|mail| received.is(mail)).count() < sent.iter().filter(alike).count() {
                // One of a version that is yet to come waits on.
                let fits =
                    |mail: &Mail| (received.is(mail) || received.is_turned(mail)) && mail.version <= version(mail);
                let extra = possible.iter().rposition(fits);
                let extra =
                    extra.unwrap_or_else(|| panic!("no mail was due: {:?} to {}", received.purpose, received.to));
                expected.push(Mail { purpose: received.purpose, ..possible.remove(extra) });
            }
        }
        expected.sort_by_key(|mail| mail.version);
        for received in sent {
            let found = expected.iter().position(|mail| received.is(mail));
            let found = expected.remove(found.unwrap());
            assert!(found.version <= self.model.accounts[found.account].version);
            if let Some(link) = received.link {
                self.model.learn_link(found, link);
            }
        }
        expected.retain(|mail| !self.model.accounts[mail.account].is_deleted());
        assert!(expected.is_empty(), "never arrived: {expected:?}");
        self.aborted = possible.into_iter().filter(|mail| self.may_still_come(mail)).collect();
    }

    /// Whether a mail of a change that broke off may be sent yet. A notice comes whatever change led to its version, and so
    /// does the link to a password that a taking-back announces.
    fn may_still_come(&self, mail: &Mail) -> bool {
        let Some(account) = self.model.accounts.get(mail.account) else { return false };
        let notice = Kind::of(mail.purpose).is_none_or(|kind| matches!(kind, Kind::NotMe | Kind::Object));
        let announced = mail.purpose == MailPurpose::ResetPassword && mail.version == account.version;
        notice || announced || mail.version > account.version
    }
}
