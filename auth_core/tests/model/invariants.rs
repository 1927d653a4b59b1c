//! The rules that hold between features, whatever a single flow does: DESIGN.md, invariants 16 to 20 and 25. They are
//! read from the rows, the mails and the calls of the stores, and not from what the model makes of an operation.

use std::collections::BTreeMap;

use auth_core::Reason;
use auth_core::port::MailPurpose;
use auth_core::testing::SentMail;
use auth_core::types::{CredentialId, Timestamp, User, UserStatus};

use super::account::{ADDRESSES, Model, PASSWORDS, Principal, Step};
use super::common::DAY;
use super::factors::{Code, Right};
use super::ops::{Fixed, Kind, Mover, Op};
use super::run::Refusal;

/// All that can be seen of an operation.
pub(super) struct Seen<'a> {
    pub(super) by: Principal,
    pub(super) op: &'a Fixed,
    /// Before the operation.
    pub(super) model: &'a Model,
    pub(super) step: &'a Step,
    /// The answer; `None` when the caller went away.
    pub(super) seen: Option<&'a Result<(), Refusal>>,
    pub(super) expected: &'a Result<(), Refusal>,
    /// Whether the answer has tokens.
    pub(super) tokens: bool,
    /// Before and after, in the order of the accounts.
    pub(super) rows: [&'a [Option<User>]; 2],
    pub(super) sent: &'a [SentMail],
    pub(super) calls: Vec<&'static str>,
    /// Failures that are counted for passwords and for second factors, before and after.
    pub(super) failures: [[u32; 2]; 2],
    pub(super) now: Timestamp,
}

impl Seen<'_> {
    /// The row of the account that the operation is about, before and after, if it changed.
    fn change(&self) -> Option<(usize, &User, &User)> {
        let subject = self.step.subject?;
        let [before, after] = self.rows.map(|rows| rows.get(subject).and_then(Option::as_ref));
        let (before, after) = (before?, after?);
        (before.token_version != after.token_version || before.email_verified_at != after.email_verified_at)
            .then_some((subject, before, after))
    }

    /// The rows that were there before and after.
    fn pairs(&self) -> impl Iterator<Item = (usize, &User, &User)> {
        let pairs = self.rows[0].iter().zip(self.rows[1]).enumerate();
        pairs.filter_map(|(account, (before, after))| Some((account, before.as_ref()?, after.as_ref()?)))
    }

    fn told(&self, address: &str, purpose: MailPurpose) -> bool {
        self.sent.iter().any(|mail| mail.to == address && mail.purpose == purpose)
    }

    /// Whether an operator or the worker does it, or time does.
    fn is_from_inside(&self) -> bool {
        let Self { op, .. } = self;
        matches!(op, Op::ResetFactors(_) | Op::Operator(..) | Op::SetEmail(..) | Op::Purge | Op::Pass(_) | Op::Steal(_))
    }
}

/// An account in one of its versions.
#[derive(Clone)]
struct Past {
    email: String,
    factors: Vec<CredentialId>,
}

/// An address that an account left.
struct Left {
    address: String,
    account: usize,
    until: Timestamp,
}

/// An account that an objection shut.
struct Shut {
    home: String,
    rival: String,
    until: Timestamp,
    /// An operator had shut it before, so that only an operator opens it.
    by_operator: bool,
}

/// The history of the accounts.
#[derive(Default)]
pub(super) struct Ledger {
    pasts: Vec<BTreeMap<u32, Past>>,
    /// The credential whose place another one took.
    replaced: Vec<(CredentialId, CredentialId)>,
    left: Vec<Left>,
    /// For each account, the versions that takings-back reported and led to.
    taken_back: Vec<Vec<(u32, u32)>>,
    shut: BTreeMap<usize, Shut>,
    /// The version of the first change of the last dispute of an account.
    disputed_from: BTreeMap<usize, u32>,
    /// For each link of a verification mail, the password and the attributes of the row when the mail was sent.
    asked: Vec<Option<(Option<String>, String)>>,
}

fn choices(user: &User) -> (Option<String>, String) {
    let hash = user.password_hash.as_ref().map(|hash| hash.expose().to_owned());
    (hash, serde_json::Value::from(user.attributes.clone()).to_string())
}

fn factors(user: &User) -> Vec<CredentialId> {
    user.factors.iter().map(|factor| factor.credential).collect()
}

fn sorted(mut ids: Vec<CredentialId>) -> Vec<CredentialId> {
    ids.sort_unstable_by_key(|id| id.0);
    ids
}

impl Ledger {
    /// Call this after each operation, before its outcome is compared with the model's.
    pub(super) fn check(&mut self, seen: &Seen<'_>) {
        self.taking_back_brings_the_factors_of_before(seen);
        no_mailbox_takes_a_factor_off(seen);
        no_session_begins_without_the_second_factor(seen);
        the_owner_is_told_at_the_address_that_loses_the_account(seen);
        self.the_owner_of_the_mailbox_keeps_nothing_that_a_stranger_chose(seen);
        no_unverified_account_keeps_its_address_from_the_owner_of_the_mailbox(seen);
        self.an_address_that_can_be_taken_back_is_not_freed(seen);
        self.a_factor_from_before_both_changes_decides_a_dispute(seen);
        self.a_disputed_account_waits_for_the_address_verified_longest(seen);
        no_answer_tells_of_a_secret_without_a_counted_attempt(seen);
        self.note(seen);
    }

    /// Call this once the model is that of after the operation.
    pub(super) fn learn(&mut self, model: &Model, rows: &[Option<User>]) {
        for mailed in &model.mailed[self.asked.len()..] {
            let verifies = mailed.mail.purpose == MailPurpose::VerifyEmail;
            let row = rows[mailed.mail.account].as_ref().filter(|_| verifies);
            self.asked.push(row.map(choices));
        }
        self.pasts.resize_with(rows.len(), BTreeMap::new);
        self.taken_back.resize_with(rows.len(), Vec::new);
        for ((past, account), row) in self.pasts.iter_mut().zip(&model.accounts).zip(rows) {
            if let Some(user) = row {
                past.insert(account.version, Past { email: user.email.as_str().to_owned(), factors: factors(user) });
            }
        }
    }

    /// The account before a change that led to a version.
    fn before(&self, account: usize, version: u32) -> &Past {
        let past = self.pasts[account].range(..version).next_back();
        past.unwrap_or_else(|| panic!("account {account} had no version before {version}")).1
    }

    /// The first version of the takings-back that cover a version.
    fn first_taken_back(&self, account: usize, version: u32) -> u32 {
        let spans = &self.taken_back[account];
        spans
            .iter()
            .filter(|(from, to)| (*from..=*to).contains(&version))
            .map(|(from, _)| *from)
            .min()
            .unwrap_or(version)
    }

    /// Whether a factor, or the one whose place it took, is among those of before.
    fn descends_from(&self, factor: CredentialId, before: &[CredentialId]) -> bool {
        let older = self.replaced.iter().find(|(_, new)| *new == factor).map(|(old, _)| *old);
        before.contains(&factor) || older.is_some_and(|older| self.descends_from(older, before))
    }

    fn note(&mut self, seen: &Seen<'_>) {
        let Some((account, before, after)) = seen.change() else { return };
        let version = seen.step.after.accounts[account].version;
        match seen.op {
            Op::UseLink(Kind::NotMe, link, _) => {
                self.taken_back[account].push((seen.model.mailed[*link].mail.version, version));
            }
            Op::Replace(..) => {
                let (old, new) = (factors(before), factors(after));
                let gone = old.iter().find(|id| !new.contains(id)).unwrap();
                let came = new.iter().find(|id| !old.contains(id)).unwrap();
                self.replaced.push((*gone, *came));
            }
            _ => {}
        }
    }

    /// Invariant 16. Taking back a change restores the second factors that were on before that change, those that it or a
    /// later change took off included, and takes off those that came since.
    fn taking_back_brings_the_factors_of_before(&self, seen: &Seen<'_>) {
        if let (Op::UseLink(Kind::NotMe, link, _), Some((account, _, after))) = (seen.op, seen.change()) {
            let version = seen.model.mailed[*link].mail.version;
            let expected = self.before(account, version).factors.clone();
            assert_eq!(
                sorted(factors(after)),
                sorted(expected),
                "invariant 16: taking back version {version} left other second factors than were on before it"
            );
        }
    }

    /// Invariant 17. The click on the link of a sign-up adopts what that very sign-up chose. Every other proof of the
    /// mailbox leaves nothing of it: no password, name or factor, and no row at the address if the owner has another one.
    fn the_owner_of_the_mailbox_keeps_nothing_that_a_stranger_chose(&self, seen: &Seen<'_>) {
        for (account, before, after) in seen.pairs().filter(|(_, before, _)| before.is_unclaimed()) {
            let gave_way = before.email != after.email;
            if gave_way {
                let bare = after.password_hash.is_none() && after.attributes.is_empty() && after.factors.is_empty();
                assert!(bare && after.status == UserStatus::Deleted, "invariant 17: {after:?} did not give way");
            }
            if let (Op::SignUp(_, password), Some(subject), Some(Ok(()))) = (seen.op, seen.step.subject, seen.seen) {
                let typed = format!("$plain${}", PASSWORDS[*password]);
                let only_this = choices(after).0.is_none_or(|stored| stored == typed);
                let concerned = account == subject && before.is_active();
                assert!(!concerned || only_this, "invariant 17: the password of another sign-up stays");
            }
            if gave_way || !after.is_verified() {
                continue;
            }
            match seen.op {
                Op::UseLink(Kind::Verify, link, _) => {
                    let asked = self.asked[*link].as_ref();
                    assert_eq!(asked, Some(&choices(after)), "invariant 17: the mail asked about another sign-up");
                }
                op => {
                    let set = match op {
                        Op::UseLink(_, _, password) => Some(format!("$plain${}", PASSWORDS[*password])),
                        _ => None,
                    };
                    let (password, _) = choices(after);
                    let bare = after.attributes.is_empty() && after.factors.is_empty() && after.username.is_none();
                    assert!(bare && password == set, "invariant 17: {op:?} kept what a stranger chose: {after:?}");
                }
            }
            let opened = seen.model.sessions.iter().any(|session| session.account == account);
            assert!(!opened, "invariant 17: an unverified account had a session");
        }
    }

    /// Invariant 18. While a change of address can be taken back, no other account is verified at the address that was
    /// left, and no sign-up makes one there.
    fn an_address_that_can_be_taken_back_is_not_freed(&mut self, seen: &Seen<'_>) {
        for (account, before, after) in seen.pairs() {
            if before.is_verified() && before.email != after.email && !seen.is_from_inside() {
                let (address, until) = (before.email.as_str().to_owned(), seen.now + 3 * DAY);
                self.left.push(Left { address, account, until });
            }
        }
        for Left { address, account, until } in self.left.iter().filter(|left| seen.now < left.until) {
            let owner = seen.rows[1][*account].as_ref().filter(|owner| owner.status != UserStatus::Deleted);
            let taken = seen.rows[1].iter().enumerate().find(|(other, row)| {
                let has =
                    |it: &&User| it.email.as_str() == address && (it.is_verified() || it.created_at + 3 * DAY > *until);
                other != account && row.as_ref().is_some_and(|it| has(&it))
            });
            assert!(
                owner.is_none() || taken.is_none(),
                "invariant 18: {taken:?} took {address}, which {owner:?} left until {until:?}"
            );
        }
    }

    /// Invariant 25. In a dispute, a code of a second factor that was on before the first change decides at once, and only
    /// such a code does. The account goes to the side that shows it, and the other side is told.
    fn a_factor_from_before_both_changes_decides_a_dispute(&mut self, seen: &Seen<'_>) {
        let Op::Object(link, Some(_)) = seen.op else { return };
        if seen.step.outcome.is_ok() && seen.seen.is_some_and(|seen| !is_unavailable(seen)) {
            assert_eq!(seen.seen, Some(&Ok(())), "invariant 25: a code from before both changes did not decide");
        }
        let Some((account, before, after)) = seen.change() else { return };
        let mail = &seen.model.mailed[*link].mail;
        let dispute = seen.rows[0][account].as_ref().is_some_and(User::is_disputed);
        let from = self.disputed_from.get(&account).filter(|_| dispute).copied();
        let from = from.unwrap_or_else(|| self.first_taken_back(account, mail.version));
        let on_before = &self.before(account, from).factors;
        let older = factors(after).into_iter().all(|factor| self.descends_from(factor, on_before));
        assert!(
            older && !after.factors.is_empty(),
            "invariant 25: {:?} decided, and {on_before:?} were on before",
            after.factors
        );
        assert_eq!(after.email.as_str(), ADDRESSES[mail.to], "invariant 25: the account went to the other side");
        assert!(
            seen.sent.iter().any(|mail| mail.purpose == MailPurpose::DisputeSettled),
            "invariant 25: the other side was not told"
        );
        if let Some(shut) = self.shut.remove(&account) {
            let opens = !before.is_disputed() || shut.by_operator || after.is_active();
            assert!(opens, "invariant 25: the account is still shut");
        }
    }

    /// Invariant 25. Without such a code, an objection shuts the account, and tells both sides how to decide. It goes back to
    /// the address that was verified longest by a reset, not before the links are over, and the other side is told.
    fn a_disputed_account_waits_for_the_address_verified_longest(&mut self, seen: &Seen<'_>) {
        let Some((account, before, after)) = seen.change() else { return };
        match (seen.op, self.shut.get_mut(&account)) {
            (Op::Object(link, None), _) => {
                let mail = &seen.model.mailed[*link].mail;
                let from = self.first_taken_back(account, mail.version);
                let home = self.before(account, from).email.clone();
                let rival = ADDRESSES[mail.to].to_owned();
                assert_eq!(after.email.as_str(), home, "invariant 25: the other address was verified longer");
                assert_ne!(home, rival, "invariant 25: an address disputes with itself");
                assert_eq!(after.status, UserStatus::Disabled, "invariant 25: the account is not shut");
                for side in [&home, &rival] {
                    assert!(seen.told(side, MailPurpose::AccountDisputed), "invariant 25: {side} was not told");
                }
                self.disputed_from.insert(account, from);
                let (until, by_operator) = (seen.now + 3 * DAY, before.status == UserStatus::Disabled);
                self.shut.insert(account, Shut { home, rival, until, by_operator });
            }
            // An operator takes the matter over.
            (Op::Operator(..) | Op::SetEmail(..) | Op::ResetFactors(_), _) => drop(self.shut.remove(&account)),
            (Op::UseLink(Kind::NotMe, ..), Some(shut)) if before.email != after.email => {
                // By the notice of a change from before both, so that address was verified even longer.
                shut.home = after.email.as_str().to_owned();
                shut.rival = before.email.as_str().to_owned();
                assert!(!after.is_active(), "invariant 25: a taking-back opened a disputed account");
            }
            (Op::UseLink(Kind::SetPassword, ..), Some(shut)) if seen.now >= shut.until && !shut.by_operator => {
                assert_eq!(after.email.as_str(), shut.home, "invariant 25: the account went to the other address");
                assert!(after.is_active(), "invariant 25: the account stays shut");
                let told = seen.told(&shut.rival, MailPurpose::DisputeSettled);
                assert!(told, "invariant 25: {} was not told that the dispute is settled", shut.rival);
                self.shut.remove(&account);
            }
            (op, Some(_)) => assert!(!after.is_active(), "invariant 25: {op:?} opened a disputed account"),
            (_, None) => {}
        }
    }
}

fn is_unavailable(answer: &Result<(), Refusal>) -> bool {
    answer.as_ref().is_err_and(|refusal| refusal == Reason::Unavailable.code())
}

/// Invariant 16. A second factor comes off by a code of it, by an operator, or by taking back a change from before it. No
/// other link takes one off.
fn no_mailbox_takes_a_factor_off(seen: &Seen<'_>) {
    for (_, before, after) in seen.pairs() {
        let listed = factors(after);
        let kept = factors(before).iter().all(|factor| listed.contains(factor));
        let entitled = matches!(
            seen.op,
            Op::Disable(..)
                | Op::Replace(..)
                | Op::ResetFactors(_)
                | Op::UseLink(Kind::NotMe, ..)
                | Op::Object(_, Some(_))
        );
        assert!(kept || entitled, "invariant 16: {:?} took a second factor off", seen.op);
    }
}

/// Invariant 16. A session of an account with a second factor begins with a code of it that the principal has, or in the
/// place of a session that did.
fn no_session_begins_without_the_second_factor(seen: &Seen<'_>) {
    let Some(subject) = seen.step.subject.filter(|_| seen.tokens) else { return };
    let Some(before) = seen.rows[0].get(subject).and_then(Option::as_ref) else { return };
    if before.factors.is_empty() {
        return;
    }
    let followed = |token: usize| seen.model.sessions[seen.model.issued[token].session].two_factors;
    let proven = match *seen.op {
        Op::SecondStep(_, Code::Totp(with, _)) => seen.model.authenticators[with].0 == seen.by,
        Op::SecondStep(_, Code::Backup(set, _)) => seen.model.code_sets[set].0 == seen.by,
        Op::Refresh(token) | Op::ChangePassword(token, ..) | Op::Reauthenticate(token, _) => followed(token),
        Op::Disable(token, ..) | Op::Replace(token, ..) => followed(token),
        _ => false,
    };
    assert!(proven, "invariant 16: {:?} opened a session of an account with a second factor", seen.op);
}

/// Invariant 16. An owner who loses a password, a factor, an address or the account is told at the address that it had,
/// with a link that takes the change back, objects to it or sets a new password.
fn the_owner_is_told_at_the_address_that_loses_the_account(seen: &Seen<'_>) {
    if seen.is_from_inside() {
        return;
    }
    for (_, before, after) in seen.pairs().filter(|(_, before, _)| before.is_verified()) {
        let (old, new) = (choices(before).0, choices(after).0);
        let kept = (&before.email, &before.factors, before.status) == (&after.email, &after.factors, after.status);
        if kept && old == new {
            continue;
        }
        let frees = |mail: &&SentMail| {
            let decided = mail.purpose == MailPurpose::DisputeSettled && matches!(seen.op, Op::Object(_, Some(_)));
            // An operator's decision is not for a mailbox to take back.
            let with_operator = mail.purpose == MailPurpose::AccountDisabled && before.status == UserStatus::Disabled;
            mail.to == before.email.as_str() && (mail.link.is_some() || decided || with_operator)
        };
        assert!(
            seen.sent.iter().any(|mail| frees(&mail)),
            "invariant 16: {:?} changed {} and sent no notice there: {:?}",
            seen.op,
            before.email,
            seen.sent
        );
    }
}

/// Invariant 17. A change of address that its owner proves does not fail because of an unverified account.
fn no_unverified_account_keeps_its_address_from_the_owner_of_the_mailbox(seen: &Seen<'_>) {
    let (Op::Move(link, _) | Op::Object(link, _) | Op::UseLink(Kind::NotMe, link, _)) = seen.op else { return };
    let to = seen.model.mailed[*link].mail.to;
    let stranger =
        seen.rows[0].iter().flatten().find(|user| user.email.as_str() == ADDRESSES[to] && !user.is_verified());
    if let (Some(stranger), Ok(()), Some(answer)) = (stranger, seen.expected, seen.seen) {
        let through = answer.is_ok() || is_unavailable(answer);
        assert!(through, "invariant 17: {stranger:?} keeps the address from its owner: {answer:?}");
    }
}

/// Invariant 20. Where another password or code would have got another answer, the attempt is counted first, and stays
/// counted if it was wrong. Everywhere else the answer is the same for every guess.
fn no_answer_tells_of_a_secret_without_a_counted_attempt(seen: &Seen<'_>) {
    let Some(answer) = seen.seen.filter(|answer| !is_unavailable(answer)) else { return };
    let guesses = seen.op.other_guesses();
    if guesses.is_empty() {
        return;
    }
    let told = |step: &Step| {
        (step.outcome.is_ok(), step.outcome.as_ref().err().map(|reason| reason.code()), step.session.is_some())
    };
    let own = told(seen.step);
    let tells = guesses.iter().any(|guess| told(&seen.model.predict(seen.by, guess)) != own);
    if !tells {
        assert_eq!(answer, seen.expected, "invariant 20: {:?} is answered otherwise than another guess", seen.op);
        return;
    }
    let counted = seen.calls.iter().any(|call| call.ends_with("count_failure"));
    assert!(counted, "invariant 20: {:?} tells of a secret, and counted no attempt: {:?}", seen.op, seen.calls);
    let wrong = match seen.step.outcome {
        Err(Reason::InvalidCredentials | Reason::WrongPassword) => Some(0),
        Err(Reason::InvalidCode) => Some(1),
        _ => None,
    };
    if let Some(kind) = wrong {
        let [before, after] = seen.failures.map(|failures| failures[kind]);
        assert_eq!(after, before + 1, "invariant 20: the wrong guess of {:?} is not counted", seen.op);
    }
}

impl Fixed {
    /// Returns the operation with each of the passwords, or with a wrong code in place of the one that was typed. Empty
    /// where nothing is guessed.
    fn other_guesses(&self) -> Vec<Self> {
        let passwords = |make: &dyn Fn(usize) -> Self| (0..PASSWORDS.len()).map(make).collect();
        match *self {
            Self::SignUp(to, _) => passwords(&|word| Self::SignUp(to, word)),
            Self::Login(to, _) => passwords(&|word| Self::Login(to, word)),
            Self::Move(link, Mover::Password(_)) => passwords(&|word| Self::Move(link, Mover::Password(word))),
            Self::ChangePassword(token, _, new) => passwords(&|word| Self::ChangePassword(token, word, new)),
            Self::AskEmail(token, to, Some(_)) => passwords(&|word| Self::AskEmail(token, to, Some(word))),
            Self::Reauthenticate(token, _) => passwords(&|word| Self::Reauthenticate(token, word)),
            Self::Deactivate(token, _) => passwords(&|word| Self::Deactivate(token, word)),
            Self::Disable(token, _, with) => passwords(&|word| Self::Disable(token, word, with)),
            Self::Regenerate(token, _) => passwords(&|word| Self::Regenerate(token, word)),
            Self::Replace(token, with, Right::Backup(_, set, number)) => {
                passwords(&|word| Self::Replace(token, with, Right::Backup(word, set, number)))
            }
            Self::SecondStep(pending, code) if code != Code::Wrong => vec![Self::SecondStep(pending, Code::Wrong)],
            Self::Object(link, Some(code)) if code != Code::Wrong => vec![Self::Object(link, Some(Code::Wrong))],
            _ => vec![],
        }
    }
}
