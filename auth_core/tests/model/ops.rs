//! The operations: deeds of principals, and events that befall accounts.

use std::time::Duration;

use auth_core::port::{LinkPage, MailPurpose};
use auth_core::types::UserStatus;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};

use super::account::{ADDRESSES, Model, PASSWORDS, Principal};
use super::common::{DAY, Fault, HOUR, MINUTE, SECOND, TICK};
use super::factors::{CODES, Code, Right};

/// An operation; `I` says which of the tokens, links or accounts that there ever were, `C` which code is typed, `R` by
/// which right an authenticator is replaced.
#[derive(Clone, Debug)]
pub(crate) enum Op<I, C, R> {
    SignUp(usize, usize),
    Resend(usize),
    AskReset(usize),
    /// A link of a kind, to its end, with this password where one is due.
    UseLink(Kind, I, usize),
    /// By the link to a new address.
    Move(I, Mover<I>),
    /// Against a taking-back, with or without a code.
    Object(I, Option<C>),
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
    /// An authenticator, not yet turned on: the first one, or one that is to replace the one that is on.
    SetUp(I, bool),
    /// With the code of now of an authenticator.
    Enable(I, I),
    /// With such a code, and the right to replace the old authenticator.
    Replace(I, I, R),
    /// With a password and such a code.
    Disable(I, usize, I),
    /// New backup codes.
    Regenerate(I, usize),
    SecondStep(I, C),
    /// By an operator here.
    ResetFactors(I),
    /// Elsewhere; seen here after the lag.
    Operator(I, UserStatus),
    /// By an operator, to an address that no account has: no random operation does it.
    SetEmail(I, usize),
    /// The principal gets a copy of tokens of the other one.
    Steal(I),
    /// The worker removes what is due to be removed.
    Purge,
    Pass(Duration),
}

/// An operation, the principal who does it, and the store call of it at which something goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) by: Principal,
    pub(crate) op: Random,
    pub(crate) crash: Option<(usize, Fault)>,
}

/// An operation on whatever there will be then.
pub(crate) type Random = Op<Index, Typed, TypedRight>;
/// An operation on what there is.
pub(crate) type Fixed = Op<usize, Code, Right>;

#[derive(Clone, Debug)]
pub(crate) enum Typed {
    /// So many steps from now.
    Totp(Index, i64),
    Backup(Index, usize),
    Wrong,
}

#[derive(Clone, Debug)]
pub(crate) enum TypedRight {
    Totp(Index),
    Backup(usize, Index, usize),
}

/// The proof of who follows the link to a new address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mover<I> {
    Session(I),
    /// And the code of now, where the principal has the account's authenticator.
    Password(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Verify,
    SetPassword,
    ChangeEmail,
    NotMe,
    /// An objection to a taking-back.
    Object,
}

impl Kind {
    /// `None` for mails without a link.
    pub(crate) fn of(purpose: MailPurpose) -> Option<Self> {
        match purpose.page()? {
            LinkPage::VerifyAccount => Some(Self::Verify),
            LinkPage::SetPassword => Some(Self::SetPassword),
            LinkPage::ChangeEmail => Some(Self::ChangeEmail),
            LinkPage::NotMe if matches!(purpose, MailPurpose::AddressLost | MailPurpose::AccountDisputed) => {
                Some(Self::Object)
            }
            LinkPage::NotMe => Some(Self::NotMe),
            page => unreachable!("{page:?}"),
        }
    }
}

/// Returns how many lives to run: the usual ones, which are the same in each run, or as many random ones as
/// `AUTH_MODEL_LIVES` says.
pub(crate) fn config(usual: u32) -> Config {
    let number = std::env::var("AUTH_MODEL_LIVES").ok().and_then(|number| number.parse().ok());
    let rng_seed = if number.is_some() { RngSeed::Random } else { RngSeed::Fixed(1) };
    Config { cases: number.unwrap_or(usual), rng_seed, failure_persistence: None, ..Config::default() }
}

/// The parts of a beginning. Most operations need an account that was verified; many need one with two factors.
#[derive(Clone, Debug)]
struct Beginning {
    index: Index,
    word: usize,
    /// The address of the account, and the one that it moves to.
    address: usize,
    other: usize,
}

impl Beginning {
    fn account(&self) -> Vec<Random> {
        let Self { index, word, address, .. } = *self;
        vec![Op::SignUp(address, word), Op::UseLink(Kind::Verify, index, 0), Op::Login(address, word)]
    }

    fn enrolment(&self) -> Vec<Random> {
        vec![Op::SetUp(self.index, false), Op::Enable(self.index, self.index), Op::Pass(MINUTE)]
    }

    fn moves(&self, to: usize) -> Vec<Random> {
        vec![Op::AskEmail(self.index, to, None), Op::Move(self.index, Mover::Session(self.index))]
    }

    /// By a new password, and a code where one is asked for.
    fn comes_in(&self, at: usize) -> Vec<Random> {
        let Self { index, word, .. } = *self;
        let reset = [Op::AskReset(at), Op::UseLink(Kind::SetPassword, index, word), Op::Login(at, word)];
        let second_step = [Op::Pass(MINUTE), Op::SecondStep(index, Typed::Totp(index, 0)), Op::Pass(MINUTE)];
        reset.into_iter().chain(second_step).collect()
    }

    fn taking_back(&self) -> Vec<Random> {
        vec![Op::UseLink(Kind::NotMe, self.index, 0)]
    }

    /// The owner turns the second factor off.
    fn turn_off(&self) -> Vec<Random> {
        vec![Op::Disable(self.index, self.word, self.index)]
    }
}

fn by(principal: Principal, ops: impl IntoIterator<Item = Random>) -> Vec<Deed> {
    ops.into_iter().map(|op| Deed { by: principal, op, crash: None }).collect()
}

/// The beginning of a life: an account, and in half of the lives the first moves of a fight for it.
pub(crate) fn start() -> impl Strategy<Value = Vec<Deed>> {
    let address = prop_oneof![3 => Just(0), 2 => Just(1)];
    (0..PASSWORDS.len(), any::<Index>(), any::<bool>(), address, 0..8).prop_map(
        |(word, index, two_factors, to, more)| {
            let start = Beginning { index, word, address: to, other: 1 - to };
            let (owner, reader, other) = (Principal::Ada, reader_of(to), reader_of(start.other));
            let enrolment = if two_factors && more != 3 || more == 2 { start.enrolment() } else { vec![] };
            let mut deeds = by(owner, start.account().into_iter().chain(enrolment));
            deeds.extend(match more {
                // The account moves there and back again, and that is taken back.
                0 => [
                    by(owner, start.moves(start.other)),
                    by(owner, start.comes_in(start.other)),
                    by(owner, start.moves(to)),
                    by(other, start.taking_back()),
                ]
                .concat(),
                1 => [by(owner, start.moves(start.other)), by(reader, start.taking_back())].concat(),
                // A second factor is turned off, comes back, and is turned off again.
                2 => [
                    by(owner, start.turn_off()),
                    by(owner, start.taking_back()),
                    by(owner, start.comes_in(to)),
                    by(owner, start.turn_off()),
                    by(owner, [Op::ChangePassword(index, word, word)]),
                    by(owner, start.taking_back()),
                ]
                .concat(),
                // The reader of the mailbox that the account left takes it back and enrols a factor. The owner objects.
                3 => [
                    by(owner, start.moves(start.other)),
                    by(reader, start.taking_back()),
                    by(reader, start.comes_in(to)),
                    by(reader, start.enrolment()),
                    by(other, [Op::Object(index, None)]),
                    by(reader, [Op::Object(index, Some(Typed::Totp(index, 0)))]),
                ]
                .concat(),
                _ => vec![],
            });
            deeds
        },
    )
}

fn reader_of(mailbox: usize) -> Principal {
    if mailbox == 0 { Principal::Ada } else { Principal::Eve }
}

fn typed() -> impl Strategy<Value = Typed> {
    prop_oneof![
        6 => (any::<Index>(), -2..=2_i64).prop_map(|(index, steps)| Typed::Totp(index, steps)),
        4 => (any::<Index>(), 0..CODES).prop_map(|(index, number)| Typed::Backup(index, number)),
        1 => Just(Typed::Wrong),
    ]
}

/// Something that a principal does or that happens, with or without crashes.
pub(crate) fn deed(crashes: bool) -> impl Strategy<Value = Deed> {
    let principal = prop_oneof![3 => Just(Principal::Ada), 2 => Just(Principal::Eve)];
    let crash = if crashes { proptest::option::of(crash()).boxed() } else { Just(None).boxed() };
    (principal, op(), crash).prop_map(|(by, op, crash)| Deed { by, op, crash })
}

fn op() -> impl Strategy<Value = Random> {
    prop_oneof![40 => account_op(), 24 => factor_op(), 14 => event()]
}

fn password() -> impl Strategy<Value = usize> {
    0..PASSWORDS.len()
}

fn account_op() -> impl Strategy<Value = Random> {
    let address = || 0..ADDRESSES.len() - 1;
    let token = any::<Index>;
    let kinds = [Kind::Verify, Kind::SetPassword, Kind::SetPassword, Kind::NotMe, Kind::NotMe];
    let mover = prop_oneof![
        2 => token().prop_map(Mover::Session),
        1 => password().prop_map(Mover::Password),
    ];
    prop_oneof![
        3 => (address(), password()).prop_map(|(to, password)| Op::SignUp(to, password)),
        1 => address().prop_map(Op::Resend),
        2 => address().prop_map(Op::AskReset),
        8 => (select(kinds.to_vec()), any::<Index>(), password()).prop_map(|(kind, link, p)| Op::UseLink(kind, link, p)),
        5 => (any::<Index>(), mover).prop_map(|(link, mover)| Op::Move(link, mover)),
        4 => (any::<Index>(), proptest::option::of(typed())).prop_map(|(link, code)| Op::Object(link, code)),
        6 => (address(), password()).prop_map(|(to, password)| Op::Login(to, password)),
        5 => token().prop_map(Op::Refresh),
        1 => token().prop_map(Op::LogoutByAccess),
        1 => token().prop_map(Op::LogoutByRefresh),
        3 => (token(), password(), password()).prop_map(|(token, old, new)| Op::ChangePassword(token, old, new)),
        5 => (token(), address(), proptest::option::weighted(0.3, password()))
            .prop_map(|(token, to, password)| Op::AskEmail(token, to, password)),
        2 => (token(), password()).prop_map(|(token, password)| Op::Reauthenticate(token, password)),
        1 => (token(), password()).prop_map(|(token, password)| Op::Deactivate(token, password)),
        1 => (token(), any::<Option<u8>>()).prop_map(|(token, name)| Op::Profile(token, name)),
    ]
}

fn factor_op() -> impl Strategy<Value = Random> {
    let token = any::<Index>;
    let right = prop_oneof![
        2 => any::<Index>().prop_map(TypedRight::Totp),
        1 => (password(), any::<Index>(), 0..CODES).prop_map(|(p, set, number)| TypedRight::Backup(p, set, number)),
    ];
    prop_oneof![
        4 => (token(), any::<bool>()).prop_map(|(token, replace)| Op::SetUp(token, replace)),
        4 => (token(), any::<Index>()).prop_map(|(token, authenticator)| Op::Enable(token, authenticator)),
        4 => (token(), any::<Index>(), right).prop_map(|(token, with, right)| Op::Replace(token, with, right)),
        2 => (token(), password(), any::<Index>()).prop_map(|(token, word, with)| Op::Disable(token, word, with)),
        2 => (token(), password()).prop_map(|(token, password)| Op::Regenerate(token, password)),
        8 => (any::<Index>(), typed()).prop_map(|(pending, code)| Op::SecondStep(pending, code)),
    ]
}

fn event() -> impl Strategy<Value = Random> {
    let account = any::<Index>;
    let status = [UserStatus::Active, UserStatus::Disabled, UserStatus::Active, UserStatus::Deleted];
    let minutes = [SECOND, 9 * SECOND, 10 * SECOND, 10 * SECOND + TICK, MINUTE, 15 * MINUTE];
    let days = [HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY];
    prop_oneof![
        1 => account().prop_map(Op::ResetFactors),
        2 => (account(), select(status.to_vec())).prop_map(|(account, status)| Op::Operator(account, status)),
        3 => any::<Index>().prop_map(Op::Steal),
        2 => Just(Op::Purge),
        4 => select(minutes.to_vec()).prop_map(Op::Pass),
        2 => select(days.to_vec()).prop_map(Op::Pass),
    ]
}

/// At which of a flow's store calls something goes wrong, and what.
fn crash() -> impl Strategy<Value = (usize, Fault)> {
    let faults = [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter];
    (0..12_usize, select(faults.to_vec()))
}

/// The tokens, links and codes that a principal can use.
struct Reach<'a> {
    by: Principal,
    model: &'a Model,
}

fn pick(index: &Index, all: &[usize]) -> Option<usize> {
    (!all.is_empty()).then(|| *index.get(all))
}

impl Reach<'_> {
    fn tokens(&self) -> impl Iterator<Item = usize> {
        let has = |number: &usize| self.model.issued[*number].holders.contains(&self.by);
        (0..self.model.issued.len()).filter(has)
    }

    fn any(&self, index: &Index) -> Option<usize> {
        pick(index, &self.tokens().collect::<Vec<_>>())
    }

    /// One that works, or one whose account changed since: the holder of such a session must be told.
    fn held(&self, index: &Index) -> Option<usize> {
        let Self { model, .. } = self;
        let held = |number: &usize| {
            let issued = &model.issued[*number];
            model.access_is_alive(issued) || !model.fits(issued.session)
        };
        let alive = self.tokens().filter(|number| model.access_is_alive(&model.issued[*number]));
        pick(index, &alive.chain(self.tokens().filter(held)).collect::<Vec<_>>())
    }

    /// One whose session has set an authenticator up, if there is any.
    fn waiting(&self, index: &Index) -> Option<usize> {
        let Self { model, .. } = self;
        let waits = |number: &usize| {
            let issued = &model.issued[*number];
            model.access_is_alive(issued) && model.sessions[issued.session].set_up.is_some()
        };
        let token = pick(index, &self.tokens().filter(waits).collect::<Vec<_>>()).or_else(|| self.held(index))?;
        (!model.sessions[model.issued[token].session].set_up_unknown).then_some(token)
    }

    /// An authenticator of the principal: mostly one that counts.
    fn authenticator(&self, index: &Index) -> Option<usize> {
        let Self { by, model } = self;
        let listed = (0..model.accounts.len()).filter_map(|account| model.authenticator_of(*by, account));
        let waiting = model.sessions.iter().filter_map(|session| Some(session.set_up.as_ref()?.authenticator));
        let own = |number: &usize| model.authenticators.get(*number).is_some_and(|(owner, _)| owner == by);
        let all = listed.chain(waiting).chain(0..model.authenticators.len());
        pick(index, &all.filter(own).collect::<Vec<_>>())
    }

    /// A set of backup codes of the principal: mostly the last one.
    fn codes(&self, index: &Index) -> Option<usize> {
        let own = |number: &usize| self.model.code_sets[*number].0 == self.by;
        let all: Vec<_> = (0..self.model.code_sets.len()).filter(own).collect();
        (!all.is_empty()).then(|| all[index.index(2 * all.len()).min(all.len() - 1)])
    }

    fn code(&self, typed: &Typed) -> Option<Code> {
        Some(match typed {
            Typed::Totp(with, steps) => Code::Totp(self.authenticator(with)?, *steps),
            Typed::Backup(set, number) => Code::Backup(self.codes(set)?, *number),
            Typed::Wrong => Code::Wrong,
        })
    }

    /// A link of a kind in a mailbox that the principal reads: mostly one of the last.
    fn link(&self, kind: Kind, index: &Index) -> Option<usize> {
        let readable = |number: &usize| {
            let mail = &self.model.mailed[*number].mail;
            Kind::of(mail.purpose) == Some(kind) && self.by.reads(mail.to)
        };
        let links: Vec<_> = (0..self.model.mailed.len()).filter(readable).collect();
        let last = links.len().saturating_sub(2);
        pick(index, &[&links[..], &links[last..], &links[last..]].concat())
    }

    /// A login of the principal that asked for a code: mostly one that waits.
    fn pending(&self, index: &Index) -> Option<usize> {
        let pendings = &self.model.pendings;
        let own = |number: &usize| pendings[*number].token.is_some() && pendings[*number].by == self.by;
        let all: Vec<_> = (0..pendings.len()).filter(own).collect();
        let waiting = all.iter().filter(|number| pendings[**number].waits(self.model.now));
        pick(index, &waiting.cycle().take(2 * all.len()).chain(&all).copied().collect::<Vec<_>>())
    }

    fn account(&self, index: &Index) -> Option<usize> {
        let rows: Vec<_> = (0..self.model.accounts.len()).filter(|number| !self.model.accounts[*number].gone).collect();
        pick(index, &rows)
    }
}

impl Random {
    /// Names the token or link; `None` where the principal has nothing to do it with.
    pub(crate) fn resolve(&self, by: Principal, model: &Model) -> Option<Fixed> {
        let reach = Reach { by, model };
        Some(match self {
            Self::SignUp(to, password) => Op::SignUp(*to, *password),
            Self::Resend(to) => Op::Resend(*to),
            Self::AskReset(to) => Op::AskReset(*to),
            Self::UseLink(kind, link, password) => Op::UseLink(*kind, reach.link(*kind, link)?, *password),
            Self::Move(link, mover) => {
                let mover = match mover {
                    Mover::Session(token) => Mover::Session(reach.held(token)?),
                    Mover::Password(password) => Mover::Password(*password),
                };
                Op::Move(reach.link(Kind::ChangeEmail, link)?, mover)
            }
            Self::Object(link, code) => {
                let code = match code {
                    Some(typed) => Some(reach.code(typed)?),
                    None => None,
                };
                Op::Object(reach.link(Kind::Object, link)?, code)
            }
            Self::Login(to, password) => Op::Login(*to, *password),
            Self::Refresh(token) => Op::Refresh(reach.any(token)?),
            Self::LogoutByAccess(token) => Op::LogoutByAccess(reach.any(token)?),
            Self::LogoutByRefresh(token) => Op::LogoutByRefresh(reach.any(token)?),
            Self::ChangePassword(token, old, new) => Op::ChangePassword(reach.held(token)?, *old, *new),
            Self::AskEmail(token, to, password) => Op::AskEmail(reach.held(token)?, *to, *password),
            Self::Reauthenticate(token, password) => Op::Reauthenticate(reach.held(token)?, *password),
            Self::Deactivate(token, password) => Op::Deactivate(reach.held(token)?, *password),
            Self::Profile(token, name) => Op::Profile(reach.held(token)?, *name),
            Self::SetUp(token, replace) => Op::SetUp(reach.held(token)?, *replace),
            Self::Enable(token, with) => Op::Enable(reach.waiting(token)?, reach.authenticator(with)?),
            Self::Replace(token, with, right) => {
                let right = match right {
                    TypedRight::Totp(old) => Right::Totp(reach.authenticator(old)?),
                    TypedRight::Backup(password, set, number) => Right::Backup(*password, reach.codes(set)?, *number),
                };
                Op::Replace(reach.waiting(token)?, reach.authenticator(with)?, right)
            }
            Self::Disable(token, password, with) => {
                Op::Disable(reach.held(token)?, *password, reach.authenticator(with)?)
            }
            Self::Regenerate(token, password) => Op::Regenerate(reach.held(token)?, *password),
            Self::SecondStep(pending, typed) => Op::SecondStep(reach.pending(pending)?, reach.code(typed)?),
            Self::ResetFactors(account) => Op::ResetFactors(reach.account(account)?),
            Self::Operator(account, status) => Op::Operator(reach.account(account)?, *status),
            Self::SetEmail(..) => return None,
            Self::Steal(token) => {
                let others: Vec<_> =
                    (0..model.issued.len()).filter(|number| !reach.tokens().any(|it| it == *number)).collect();
                Op::Steal(pick(token, &others)?)
            }
            Self::Purge => Op::Purge,
            Self::Pass(time) => Op::Pass(*time),
        })
    }
}
