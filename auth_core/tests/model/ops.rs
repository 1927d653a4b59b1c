//! What may happen to the account.

use std::time::Duration;

use auth_core::port::MailPurpose;
use auth_core::types::UserStatus;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::account::{ADDRESSES, Model, PASSWORDS};
use super::common::{DAY, Fault, HOUR, MINUTE, SECOND, TICK};
use super::factors::{CODES, Code};

/// An operation; `I` says which of the tokens or links that were ever given out, `C` which code is typed.
#[derive(Clone, Debug)]
pub(crate) enum Op<I, C> {
    /// At an address that is not the account's, it is somebody else's.
    SignUp(usize, usize),
    Resend(usize),
    AskReset(usize),
    /// Any link of a kind that was ever mailed, to its end, with this password where one is due.
    UseLink(Kind, I, usize),
    Login(usize, usize),
    Refresh(I),
    LogoutByAccess(I),
    LogoutByRefresh(I),
    /// With the old and the new password.
    ChangePassword(I, usize, usize),
    AskEmail(I, usize, Option<usize>),
    Reauthenticate(I, usize),
    Deactivate(I, usize),
    Profile(I, Option<u8>),
    /// An authenticator, not yet turned on.
    SetUp(I),
    /// With the code of now of an authenticator that was ever set up.
    Enable(I, I),
    /// With a password and such a code.
    Disable(I, usize, I),
    /// New backup codes.
    Regenerate(I, usize),
    /// With any code there ever was.
    SecondStep(I, C),
    /// By an operator here.
    ResetFactors,
    /// Elsewhere; seen here after the lag.
    Operator(UserStatus),
    Pass(Duration),
}

/// An operation, and the store call of it at which something goes wrong.
pub(crate) type Deed = (Random, Option<(usize, Fault)>);

/// An operation on whatever there will be then.
pub(crate) type Random = Op<Index, Typed>;
/// An operation on what there is.
pub(crate) type Fixed = Op<usize, Code>;

#[derive(Clone, Debug)]
pub(crate) enum Typed {
    /// So many steps from now.
    Totp(Index, i64),
    Backup(Index, usize),
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Verify,
    SetPassword,
    ChangeEmail,
    NotMe,
    /// An objection to a taking-back: no random operation makes one.
    Object,
}

impl Kind {
    /// `None` for mails without a link.
    pub(crate) fn of(purpose: MailPurpose) -> Option<Self> {
        match purpose {
            MailPurpose::VerifyEmail => Some(Self::Verify),
            MailPurpose::SetPassword | MailPurpose::ResetPassword | MailPurpose::AccountDeactivated => {
                Some(Self::SetPassword)
            }
            MailPurpose::ChangeEmail => Some(Self::ChangeEmail),
            MailPurpose::Deactivated
            | MailPurpose::PasswordChanged
            | MailPurpose::EmailChanged
            | MailPurpose::TwoFactorEnabled
            | MailPurpose::TwoFactorDisabled
            | MailPurpose::BackupCodesReplaced
            | MailPurpose::SecondFactorFailed
            | MailPurpose::BackupCodeUsed => Some(Self::NotMe),
            MailPurpose::AddressLost => Some(Self::Object),
            _ => None,
        }
    }
}

/// The number of lives: that of `AUTH_MODEL_LIVES` or, without it, the usual one.
pub(crate) fn lives(usual: u32) -> u32 {
    std::env::var("AUTH_MODEL_LIVES").ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// Most of what can happen needs an account that was verified; much needs one with two factors.
pub(crate) fn start() -> impl Strategy<Value = Vec<Random>> {
    (0..PASSWORDS.len(), any::<Index>(), any::<bool>()).prop_map(|(word, index, two_factors)| {
        let start = [Op::SignUp(0, word), Op::UseLink(Kind::Verify, index, 0), Op::Login(0, word)];
        let enrolment = [Op::SetUp(index), Op::Enable(index, index)];
        start.into_iter().chain(enrolment.into_iter().filter(|_| two_factors)).collect()
    })
}

fn typed() -> impl Strategy<Value = Typed> {
    prop_oneof![
        6 => (any::<Index>(), -2..=2_i64).prop_map(|(index, steps)| Typed::Totp(index, steps)),
        4 => (any::<Index>(), 0..CODES).prop_map(|(index, number)| Typed::Backup(index, number)),
        1 => Just(Typed::Wrong),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Random> {
    let password = || 0..PASSWORDS.len();
    // Mostly the first address, or little would ever happen to the account.
    let address = || prop_oneof![3 => Just(0), 2 => 0..ADDRESSES.len()];
    let token = any::<Index>;
    let status = [UserStatus::Active, UserStatus::Disabled, UserStatus::Active, UserStatus::Deleted];
    let times = [SECOND, 9 * SECOND, 10 * SECOND, 10 * SECOND + TICK, MINUTE, 15 * MINUTE, HOUR, DAY, 3 * DAY, 7 * DAY];
    let kinds = [Kind::Verify, Kind::SetPassword, Kind::ChangeEmail, Kind::ChangeEmail, Kind::NotMe];
    prop_oneof![
        2 => (address(), password()).prop_map(|(to, password)| Op::SignUp(to, password)),
        1 => address().prop_map(Op::Resend),
        2 => address().prop_map(Op::AskReset),
        8 => (select(kinds.to_vec()), any::<Index>(), password()).prop_map(|(kind, link, p)| Op::UseLink(kind, link, p)),
        6 => (address(), password()).prop_map(|(to, password)| Op::Login(to, password)),
        6 => token().prop_map(Op::Refresh),
        1 => token().prop_map(Op::LogoutByAccess),
        1 => token().prop_map(Op::LogoutByRefresh),
        4 => (token(), password(), password()).prop_map(|(token, old, new)| Op::ChangePassword(token, old, new)),
        5 => (token(), address(), proptest::option::weighted(0.3, password()))
            .prop_map(|(token, to, password)| Op::AskEmail(token, to, password)),
        2 => (token(), password()).prop_map(|(token, password)| Op::Reauthenticate(token, password)),
        1 => (token(), password()).prop_map(|(token, password)| Op::Deactivate(token, password)),
        1 => (token(), any::<Option<u8>>()).prop_map(|(token, name)| Op::Profile(token, name)),
        3 => token().prop_map(Op::SetUp),
        4 => (token(), any::<Index>()).prop_map(|(token, authenticator)| Op::Enable(token, authenticator)),
        2 => (token(), password(), any::<Index>()).prop_map(|(token, word, with)| Op::Disable(token, word, with)),
        2 => (token(), password()).prop_map(|(token, password)| Op::Regenerate(token, password)),
        8 => (any::<Index>(), typed()).prop_map(|(pending, code)| Op::SecondStep(pending, code)),
        1 => Just(Op::ResetFactors),
        2 => select(status.to_vec()).prop_map(Op::Operator),
        5 => select(times.to_vec()).prop_map(Op::Pass),
    ]
}

/// At which of a flow's store calls something goes wrong, and what.
pub(crate) fn crash() -> impl Strategy<Value = (usize, Fault)> {
    let faults = [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter];
    (0..12_usize, select(faults.to_vec()))
}

impl Random {
    /// Names the token or link; `None` where there is nothing to do it with.
    pub(crate) fn resolve(&self, model: &Model) -> Option<Fixed> {
        let any = |index: &Index| (!model.issued.is_empty()).then(|| index.index(model.issued.len()));
        // One that works, or one whose account changed since: whoever still holds its session must be told.
        let held = |index: &Index| {
            let held = |number: &usize| {
                let issued = &model.issued[*number];
                model.access_is_alive(issued) || !model.fits(issued.session)
            };
            let alive = (0..model.issued.len()).filter(|number| model.access_is_alive(&model.issued[*number]));
            let all: Vec<_> = alive.chain((0..model.issued.len()).filter(held)).collect();
            (!all.is_empty()).then(|| *index.get(&all))
        };
        // Mostly the one that counts.
        let authenticator = |index: &Index| {
            let listed = model.account.as_ref().and_then(|account| account.factors.as_ref());
            let waiting = model.sessions.iter().filter_map(|session| Some(session.set_up.as_ref()?.authenticator));
            let likely = listed.map(|factors| factors.authenticator).into_iter().chain(waiting);
            let all: Vec<_> = likely.chain(0..model.authenticators.len()).collect();
            (!all.is_empty()).then(|| *index.get(&all))
        };
        Some(match self {
            // A sign-up for the address of a lapsed account makes another account, which is not the model's.
            Self::SignUp(to, _) if model.others.contains(to) || model.lapsed() => return None,
            Self::SignUp(to, password) => Op::SignUp(*to, *password),
            Self::Resend(to) => Op::Resend(*to),
            Self::AskReset(to) => Op::AskReset(*to),
            Self::UseLink(kind, index, password) => {
                let fits = |number: &usize| Kind::of(model.mailed[*number].mail.purpose) == Some(*kind);
                let links: Vec<_> = (0..model.mailed.len()).filter(fits).collect();
                if links.is_empty() {
                    return None;
                }
                Op::UseLink(*kind, *index.get(&links), *password)
            }
            Self::Login(to, password) => Op::Login(*to, *password),
            Self::Refresh(index) => Op::Refresh(any(index)?),
            Self::LogoutByAccess(index) => Op::LogoutByAccess(any(index)?),
            Self::LogoutByRefresh(index) => Op::LogoutByRefresh(any(index)?),
            Self::ChangePassword(index, old, new) => Op::ChangePassword(held(index)?, *old, *new),
            Self::AskEmail(index, to, password) => Op::AskEmail(held(index)?, *to, *password),
            Self::Reauthenticate(index, password) => Op::Reauthenticate(held(index)?, *password),
            Self::Deactivate(index, password) => Op::Deactivate(held(index)?, *password),
            Self::Profile(index, name) => Op::Profile(held(index)?, *name),
            Self::SetUp(index) => Op::SetUp(held(index)?),
            Self::Enable(index, with) => {
                let waits = |number: &usize| {
                    let issued = &model.issued[*number];
                    model.access_is_alive(issued) && model.sessions[issued.session].set_up.is_some()
                };
                let waiting: Vec<_> = (0..model.issued.len()).filter(waits).collect();
                let token = if waiting.is_empty() { held(index)? } else { *index.get(&waiting) };
                if model.sessions[model.issued[token].session].set_up_unknown {
                    return None;
                }
                Op::Enable(token, authenticator(with)?)
            }
            Self::Disable(index, password, with) => Op::Disable(held(index)?, *password, authenticator(with)?),
            Self::Regenerate(index, password) => Op::Regenerate(held(index)?, *password),
            Self::SecondStep(index, typed) => {
                let known = |number: &usize| model.pendings[*number].token.is_some();
                let all: Vec<_> = (0..model.pendings.len()).filter(known).collect();
                let waits = |number: &&usize| model.pendings[**number].waits(model.now);
                // Mostly one that waits.
                let all: Vec<_> = all.iter().filter(waits).cycle().take(2 * all.len()).chain(&all).collect();
                if all.is_empty() {
                    return None;
                }
                let code = match typed {
                    Typed::Totp(with, steps) => Code::Totp(authenticator(with)?, *steps),
                    Typed::Backup(_, _) if model.code_sets.is_empty() => return None,
                    // Mostly of the last set.
                    Typed::Backup(set, number) => {
                        let set = set.index(2 * model.code_sets.len()).min(model.code_sets.len() - 1);
                        Code::Backup(set, *number)
                    }
                    Typed::Wrong => Code::Wrong,
                };
                Op::SecondStep(**index.get(&all), code)
            }
            Self::ResetFactors => Op::ResetFactors,
            Self::Operator(status) => Op::Operator(*status),
            Self::Pass(time) => Op::Pass(*time),
        })
    }
}
