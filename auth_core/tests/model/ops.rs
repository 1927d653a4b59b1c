//! What may happen to the account.

use std::time::Duration;

use auth_core::port::MailPurpose;
use auth_core::types::UserStatus;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::account::{ADDRESSES, Model, PASSWORDS};
use crate::common::{DAY, Fault, HOUR, MINUTE, SECOND, TICK};

/// An operation; `I` says which of the tokens or links that were ever given out.
#[derive(Clone, Debug)]
pub(crate) enum Op<I> {
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
    /// Elsewhere; seen here after the lag.
    Operator(UserStatus),
    Pass(Duration),
}

/// An operation, and the store call of it at which something goes wrong.
pub(crate) type Deed = (Op<Index>, Option<(usize, Fault)>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Verify,
    SetPassword,
    ChangeEmail,
    NotMe,
}

impl Kind {
    /// `None` for mails without a link.
    pub(crate) fn of(purpose: MailPurpose) -> Option<Self> {
        match purpose {
            MailPurpose::VerifyEmail => Some(Self::Verify),
            MailPurpose::SetPassword | MailPurpose::ResetPassword => Some(Self::SetPassword),
            MailPurpose::ChangeEmail => Some(Self::ChangeEmail),
            MailPurpose::PasswordChanged | MailPurpose::EmailChanged => Some(Self::NotMe),
            _ => None,
        }
    }
}

/// Most of what can happen needs an account that was verified.
pub(crate) fn start() -> impl Strategy<Value = [Op<Index>; 3]> {
    (0..PASSWORDS.len(), any::<Index>())
        .prop_map(|(word, link)| [Op::SignUp(0, word), Op::UseLink(Kind::Verify, link, 0), Op::Login(0, word)])
}

pub(crate) fn op() -> impl Strategy<Value = Op<Index>> {
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
        2 => select(status.to_vec()).prop_map(Op::Operator),
        5 => select(times.to_vec()).prop_map(Op::Pass),
    ]
}

/// At which of a flow's store calls something goes wrong, and what.
pub(crate) fn crash() -> impl Strategy<Value = (usize, Fault)> {
    let faults = [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter];
    (0..8_usize, select(faults.to_vec()))
}

impl Op<Index> {
    /// Names the token or link; `None` where there is nothing to do it with.
    pub(crate) fn resolve(&self, model: &Model) -> Option<Op<usize>> {
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
        Some(match self {
            Self::SignUp(to, _) if model.others.contains(to) => return None,
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
            Self::Operator(status) => Op::Operator(*status),
            Self::Pass(time) => Op::Pass(*time),
        })
    }
}
