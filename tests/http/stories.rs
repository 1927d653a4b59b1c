//! Stories with two principals: an account owner with two mailboxes, and a stranger who signs up the owner's addresses,
//! reads a mailbox that the owner left, steals sessions and uses old links. After each deed the rules hold that no single
//! flow can keep by itself. `AUTH_STORIES` sets the number of stories.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::testing::SentMail;
use auth_system::auth_core::types::{CredentialId, Email, User, UserId};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, Jar, Link, World, claims, post};

scenarios![whatever_strangers_do_the_owner_keeps_or_gets_back_the_account];

/// The owner's mailbox, the one that the owner may move to, and the stranger's.
const MAILBOXES: [&str; 3] = ["owner@example.org", "wanted@example.org", "stranger@example.org"];
const OWNERS: &str = "the owner's password";
const STRANGERS: &str = "the stranger's password";
const RESET: &str = "the owner's new password";
/// The time in which a change can be taken back.
const TAKE_BACK: Duration = Duration::from_secs(72 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Actor {
    Owner,
    Stranger,
}

#[derive(Clone, Debug)]
enum Deed {
    SignUp(Actor, usize),
    /// The newest link that verifies an address, of a mailbox that the actor reads.
    Verify(Actor),
    Login(Actor, usize),
    AskReset(Actor, usize),
    Resend(Actor, usize),
    /// Any link of this kind in a mailbox that the actor reads.
    Follow(Actor, Kind, Index),
    AskMove(Actor, usize),
    ChangePassword(Actor),
    Enrol(Actor),
    Close(Actor),
    /// The stranger copies the owner's newest session.
    Steal,
    Pass(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    SetPassword,
    ChangeEmail,
    NotMe,
}

impl Kind {
    fn of(purpose: MailPurpose) -> Option<Self> {
        match purpose {
            MailPurpose::SetPassword | MailPurpose::ResetPassword => Some(Self::SetPassword),
            MailPurpose::ChangeEmail => Some(Self::ChangeEmail),
            MailPurpose::VerifyEmail => None,
            // Every other link takes a change back.
            _ => Some(Self::NotMe),
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let actor = || select(vec![Actor::Owner, Actor::Stranger, Actor::Stranger]);
    let mailbox = || 0..MAILBOXES.len();
    let kinds = vec![Kind::SetPassword, Kind::ChangeEmail, Kind::ChangeEmail, Kind::NotMe, Kind::NotMe];
    let minute = Duration::from_secs(60);
    let times = vec![minute, 16 * minute, 61 * minute, 24 * 60 * minute, 73 * 60 * minute];
    prop_oneof![
        4 => (actor(), mailbox()).prop_map(|(actor, to)| Deed::SignUp(actor, to)),
        3 => actor().prop_map(Deed::Verify),
        5 => (actor(), mailbox()).prop_map(|(actor, to)| Deed::Login(actor, to)),
        2 => (actor(), mailbox()).prop_map(|(actor, to)| Deed::AskReset(actor, to)),
        1 => (actor(), mailbox()).prop_map(|(actor, to)| Deed::Resend(actor, to)),
        9 => (actor(), select(kinds), any::<Index>()).prop_map(|(actor, kind, link)| Deed::Follow(actor, kind, link)),
        5 => (actor(), mailbox()).prop_map(|(actor, to)| Deed::AskMove(actor, to)),
        2 => actor().prop_map(Deed::ChangePassword),
        3 => actor().prop_map(Deed::Enrol),
        1 => actor().prop_map(Deed::Close),
        2 => Just(Deed::Steal),
        3 => select(times).prop_map(Deed::Pass),
    ]
}

/// Half of the stories begin with an account of the owner's.
fn beginning() -> impl Strategy<Value = Vec<Deed>> {
    select(vec![
        vec![],
        vec![Deed::SignUp(Actor::Owner, 0), Deed::Verify(Actor::Owner), Deed::Login(Actor::Owner, 0)],
        vec![
            Deed::SignUp(Actor::Owner, 0),
            Deed::Verify(Actor::Owner),
            Deed::Login(Actor::Owner, 0),
            Deed::Enrol(Actor::Owner),
        ],
        vec![Deed::SignUp(Actor::Stranger, 2), Deed::Verify(Actor::Stranger), Deed::Login(Actor::Stranger, 2)],
    ])
}

/// A mail that lies in a mailbox.
#[derive(Clone, Debug)]
struct Received {
    to: usize,
    purpose: MailPurpose,
    link: Option<Link>,
    /// The principal of the deed that led to it.
    by: Actor,
    /// The number of that deed.
    deed: usize,
}

/// The factor that the owner turned on.
struct Factor {
    account: UserId,
    credential: CredentialId,
    authenticator: Authenticator,
    /// The number of the deed that turned it on.
    since: usize,
    /// No used link reports the enrolment of the factor or an older change.
    protects: bool,
}

struct Story {
    world: World,
    number: usize,
    mails: Vec<Received>,
    sessions: BTreeMap<&'static str, Vec<Jar>>,
    /// The passwords that each principal chose, newest last.
    owners_password: &'static str,
    /// The account that the owner proved the mailbox of and set the password of.
    owners_account: Option<UserId>,
    owner_signed_up: [bool; 3],
    /// When the owner left the first mailbox; the stranger reads it from then on.
    left: Option<usize>,
    factor: Option<Factor>,
    /// Addresses that an account left, and until when that can be taken back.
    vacated: Vec<(String, UserId, i64)>,
}

async fn whatever_strangers_do_the_owner_keeps_or_gets_back_the_account(ground: Ground) {
    let told = std::env::var("AUTH_STORIES").ok().and_then(|text| text.parse().ok());
    let cases = told.unwrap_or(if ground.is_durable() { 15 } else { 150 });
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let story = (beginning(), proptest::collection::vec(deed(), 1..40));
    let outcome = TestRunner::new(config).run(&story, |(beginning, deeds)| {
        block_in_place(|| {
            Handle::current().block_on(async {
                let mut story = Story::begin(ground).await;
                for deed in beginning.into_iter().chain(deeds) {
                    story.happens(&deed).await;
                }
                story.ends_well().await;
            });
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

impl Story {
    async fn begin(ground: Ground) -> Self {
        Self {
            world: ground.world().await,
            number: 0,
            mails: Vec::new(),
            sessions: BTreeMap::new(),
            owners_password: OWNERS,
            owners_account: None,
            owner_signed_up: [false; 3],
            left: None,
            factor: None,
            vacated: Vec::new(),
        }
    }

    async fn happens(&mut self, deed: &Deed) {
        self.number += 1;
        let before = self.rows().await;
        let by = match deed {
            Deed::SignUp(by, _) | Deed::Verify(by) | Deed::Login(by, _) | Deed::AskReset(by, _) => *by,
            Deed::Resend(by, _) | Deed::Follow(by, ..) | Deed::AskMove(by, _) | Deed::ChangePassword(by) => *by,
            Deed::Enrol(by) | Deed::Close(by) => *by,
            Deed::Steal | Deed::Pass(_) => Actor::Stranger,
        };
        self.perform(deed).await;
        let arrived = self.receive(by).await;
        let after = self.rows().await;
        self.owner_is_told(deed, &before, &after, &arrived);
        self.addresses_are_left_not_freed(&before, &after);
        self.the_factor_stays(deed, &after);
    }

    async fn perform(&mut self, deed: &Deed) {
        match deed {
            Deed::SignUp(by, to) => {
                let (password, name) = match by {
                    Actor::Owner => (self.owners_password, "Owner"),
                    Actor::Stranger => (STRANGERS, "Stranger"),
                };
                // Owners sign up the addresses that are theirs.
                if *by == Actor::Stranger || *to != 2 {
                    let body = json!({ "email": MAILBOXES[*to], "password": password, "first_name": name });
                    assert_eq!(self.world.send(post("signup/").json(body)).await.status, 201);
                    self.owner_signed_up[*to] |= *by == Actor::Owner;
                }
            }
            Deed::Verify(by) => {
                let newest = self.readable(*by).filter(|mail| mail.purpose == MailPurpose::VerifyEmail).last();
                // The mail says who asked. An owner who did not sign up leaves it alone.
                let careful = |mail: &&Received| *by == Actor::Stranger || self.owner_signed_up[mail.to];
                if let Some(mail) = newest.filter(careful) {
                    let (to, call) = (mail.to, mail.link.as_ref().unwrap().verify());
                    if self.world.send(call).await.status == 200 && *by == Actor::Owner {
                        self.take_over(to).await;
                    }
                }
            }
            Deed::Login(by, to) => {
                let password = if *by == Actor::Owner { self.owners_password } else { STRANGERS };
                self.log_in(*by, *to, password).await;
            }
            Deed::AskReset(_, to) => {
                self.world.send(post("password-reset/").json(json!({ "email": MAILBOXES[*to] }))).await;
            }
            Deed::Resend(_, to) => {
                self.world.send(post("resend-verification/").json(json!({ "email": MAILBOXES[*to] }))).await;
            }
            Deed::Follow(by, kind, index) => self.follow(*by, *kind, index).await,
            Deed::AskMove(by, to) => {
                // Owners move between mailboxes that are theirs.
                let allowed = *by == Actor::Stranger || *to != 2;
                if let (Some(jar), true) = (self.jar(*by), allowed) {
                    self.world.send(post("change-email/").jar(&jar).json(json!({ "new_email": MAILBOXES[*to] }))).await;
                }
            }
            Deed::ChangePassword(by) => {
                let (old, new) = match by {
                    Actor::Owner => (self.owners_password, RESET),
                    Actor::Stranger => (STRANGERS, STRANGERS),
                };
                if let Some(jar) = self.jar(*by) {
                    let answer = self.world.change_password(&jar, old, new).await;
                    self.keep(*by, &answer).await;
                    if *by == Actor::Owner && answer.status == 200 {
                        self.owners_password = new;
                    }
                }
            }
            Deed::Enrol(by) => self.enrol(*by).await,
            Deed::Close(by) => {
                let password = if *by == Actor::Owner { self.owners_password } else { STRANGERS };
                if let (Some(jar), Actor::Stranger) = (self.jar(*by), by) {
                    let body = json!({ "password": password, "confirm_deactivation": true });
                    self.world.send(post("deactivate-account/").jar(&jar).json(body)).await;
                }
            }
            Deed::Steal => {
                if let Some(jar) = self.jar(Actor::Owner) {
                    self.sessions.entry("stranger").or_default().push(jar);
                }
            }
            Deed::Pass(time) => self.world.advance(*time),
        }
    }

    /// Follows any link of a kind in the mailboxes that the actor reads.
    async fn follow(&mut self, by: Actor, kind: Kind, index: &Index) {
        // Owners take back what they did not do.
        let wanted = |mail: &&Received| {
            let careful = by == Actor::Stranger || kind != Kind::NotMe || mail.by == Actor::Stranger;
            Kind::of(mail.purpose) == Some(kind) && mail.link.is_some() && careful
        };
        let links: Vec<Received> = self.readable(by).filter(wanted).cloned().collect();
        if links.is_empty() {
            return;
        }
        let mail = index.get(&links);
        let link = mail.link.as_ref().unwrap();
        match kind {
            Kind::SetPassword => {
                let password = if by == Actor::Owner { RESET } else { STRANGERS };
                let answer = self.world.send(link.set_password(password)).await;
                if answer.status == 200 && by == Actor::Owner {
                    self.owners_password = RESET;
                    self.take_over(mail.to).await;
                }
            }
            Kind::ChangeEmail => {
                let holder = self.at(MAILBOXES[mail.to]).await;
                let answer = self.world.send(link.change_email(&self.jar(by).unwrap_or_default())).await;
                if answer.status == 400 && answer.json()["code"] == "invalid_fields" {
                    // Verified by another account, or left by one that may still come back.
                    let now = self.now();
                    let left = self.vacated.iter().any(|it| it.0 == MAILBOXES[mail.to] && now <= it.2 + 60);
                    let blocks = left || holder.as_ref().is_some_and(User::is_verified);
                    assert!(blocks, "an unverified account keeps an address from its owner: {holder:?}");
                }
                if answer.status == 200 && by == Actor::Owner && mail.to == 1 {
                    self.left = Some(self.number);
                }
            }
            Kind::NotMe => {
                let answer = self.world.send(link.not_me()).await;
                if let (200, Some(factor)) = (answer.status.as_u16(), &mut self.factor) {
                    // A factor is safe from links that report what came after its enrolment.
                    factor.protects &= mail.deed > factor.since;
                }
            }
        }
    }

    async fn enrol(&mut self, by: Actor) {
        let Some(jar) = self.jar(by) else { return };
        let answer = self.world.send(post("2fa/setup/").jar(&jar).json(json!({}))).await;
        if answer.status != 200 {
            return;
        }
        let secret = answer.json()["secret"].as_str().unwrap().to_owned();
        let mut authenticator = Authenticator { secret, backup_codes: Vec::new() };
        let body = json!({ "code": authenticator.code(&self.world) });
        let answer = self.world.send(post("2fa/enable/").jar(&jar).json(body)).await;
        let account = self.keep(by, &answer).await;
        if let (200, Actor::Owner, Some(account)) = (answer.status.as_u16(), by, account) {
            authenticator.backup_codes = serde_json::from_value(answer.json()["backup_codes"].clone()).unwrap();
            let user = self.row(&account).await;
            let credential = user.factors[0].credential;
            let since = self.number;
            self.factor = Some(Factor { account, credential, authenticator, since, protects: true });
        }
    }

    /// The owner proved a mailbox: the account is theirs, and nothing of a stranger's is left in it.
    async fn take_over(&mut self, to: usize) {
        let Some(user) = self.at(MAILBOXES[to]).await else { return };
        self.owners_account.get_or_insert(user.id);
        let strangers = self.world.log_in(MAILBOXES[to], STRANGERS).await;
        assert_eq!(strangers.status, 401, "a stranger's password opens an account that its mailbox took over");
        let name = user.attributes.get("first_name").and_then(|name| name.as_str());
        assert_ne!(name, Some("Stranger"), "what a stranger chose stays on the account");
    }

    async fn log_in(&mut self, by: Actor, to: usize, password: &str) -> bool {
        let answer = self.world.log_in(MAILBOXES[to], password).await;
        let Some(token) = answer.status.is_success().then(|| answer.json()["session_token"].clone()) else {
            return false;
        };
        let Some(token) = token.as_str() else { return self.keep(by, &answer).await.is_some() };
        let (Actor::Owner, Some(factor)) = (by, &self.factor) else { return false };
        self.world.advance(Duration::from_secs(60));
        let code = factor.authenticator.code(&self.world);
        let second = post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }));
        let answer = self.world.send(second).await;
        answer.status == 200 && self.keep(by, &answer).await.is_some()
    }

    /// Keeps the cookies of an answer; the account that they are for. A stranger never logs in past the owner's factor.
    async fn keep(&mut self, by: Actor, answer: &Answer) -> Option<UserId> {
        let jar = answer.jar();
        let access = jar.cookies.iter().find(|(name, _)| name.ends_with("access_token"))?.1;
        let account = UserId::parse(claims(access)["sub"].as_str().unwrap()).unwrap();
        let name = if by == Actor::Owner { "owner" } else { "stranger" };
        self.sessions.entry(name).or_default().push(jar);
        Some(account)
    }

    fn jar(&self, by: Actor) -> Option<Jar> {
        self.sessions.get(if by == Actor::Owner { "owner" } else { "stranger" })?.last().cloned()
    }

    /// The mails that a principal can read: the stranger the owner's first mailbox once the owner has left it.
    fn readable(&self, by: Actor) -> impl Iterator<Item = &Received> {
        let reads = move |mail: &&Received| match by {
            Actor::Owner => mail.to != 2,
            Actor::Stranger => mail.to == 2 || (mail.to == 0 && self.left.is_some()),
        };
        self.mails.iter().filter(reads)
    }

    async fn receive(&mut self, by: Actor) -> Vec<SentMail> {
        let mails = self.world.mails().await;
        for mail in &mails {
            let to = MAILBOXES.iter().position(|mailbox| *mailbox == mail.to).unwrap();
            let link = mail.link.as_ref().map(|(user, token)| Link::from_parts(user, token));
            self.mails.push(Received { to, purpose: mail.purpose, link, by, deed: self.number });
        }
        mails
    }

    async fn rows(&self) -> Vec<User> {
        self.world.auth.system().admin().list(None, None, 100).await.unwrap()
    }

    async fn row(&self, id: &UserId) -> User {
        self.world.auth.system().admin().find(UserKey::Id(id)).await.unwrap().unwrap()
    }

    async fn at(&self, email: &str) -> Option<User> {
        let email = Email::parse(email).unwrap();
        self.world.auth.system().admin().find(UserKey::Email(&email)).await.unwrap()
    }

    fn now(&self) -> i64 {
        auth_system::auth_core::port::Clock::now(&self.world.clock).seconds()
    }

    /// An account owner who loses a password, a factor, an address or the account is told at the address that it had.
    fn owner_is_told(&self, deed: &Deed, before: &[User], after: &[User], arrived: &[SentMail]) {
        for old in before.iter().filter(|user| user.is_verified()) {
            let Some(new) = after.iter().find(|user| user.id == old.id) else { continue };
            let secrets = |user: &User| user.password_hash.as_ref().map(|hash| hash.expose().to_owned());
            let changed = (&old.email, &old.factors, old.status) != (&new.email, &new.factors, new.status);
            if changed || secrets(old) != secrets(new) {
                let told = arrived.iter().any(|mail| mail.to == old.email.as_str());
                assert!(told, "{deed:?} changed {} and sent no notice there: {arrived:?}", old.email);
            }
        }
    }

    /// For as long as a move can be taken back, no other account is verified at the address that was left.
    fn addresses_are_left_not_freed(&mut self, before: &[User], after: &[User]) {
        let now = self.now();
        for old in before.iter().filter(|user| user.is_verified()) {
            let new = after.iter().find(|user| user.id == old.id);
            if let Some(new) = new.filter(|new| new.email != old.email) {
                let until = now + i64::try_from(TAKE_BACK.as_secs()).unwrap();
                self.vacated.push((old.email.as_str().to_owned(), new.id, until));
            }
        }
        for (address, left_by, _) in self.vacated.iter().filter(|(_, _, until)| now < *until) {
            let taken = after.iter().find(|user| user.email.as_str() == address && user.id != *left_by);
            let taken = taken.filter(|user| user.is_verified());
            assert!(taken.is_none(), "{address} was left by {left_by} and is another account's: {taken:?}");
        }
    }

    /// A mailbox alone takes no factor off that was on before the change that its link reports.
    fn the_factor_stays(&self, deed: &Deed, after: &[User]) {
        let Some(factor) = self.factor.as_ref().filter(|factor| factor.protects) else { return };
        let Some(user) = after.iter().find(|user| user.id == factor.account) else { return };
        let listed = user.factors.iter().any(|it| it.credential == factor.credential);
        assert!(listed, "{deed:?} took the owner's factor off: {:?}", user.factors);
    }

    /// Links and windows end; then a reset by mail, or an operator's verb, leads to a usable account.
    async fn ends_well(mut self) {
        let Some(account) = self.owners_account else { return };
        self.world.advance(TAKE_BACK + Duration::from_secs(24 * 60 * 60));
        if self.gets_in(&account).await {
            return;
        }
        // A stranger shut it, moved it away or enrolled a factor: an operator gives it back.
        let admin = self.world.auth.system().admin();
        admin.enable(&account).await.unwrap();
        if !self.gets_in(&account).await {
            let admin = self.world.auth.system().admin();
            let mut free = None;
            for mailbox in [1, 0] {
                let holder = self.at(MAILBOXES[mailbox]).await;
                free = free.or(holder.is_none_or(|user| user.id == account).then_some(mailbox));
            }
            // The owner verified other accounts at both mailboxes, which is a way to usable accounts, too.
            let Some(mailbox) = free else { return };
            admin.set_email(&account, MAILBOXES[mailbox]).await.unwrap();
            admin.reset_second_factors(&account).await.unwrap();
            assert!(self.gets_in(&account).await, "no way leads back: {:?}", self.row(&account).await);
        }
    }

    async fn gets_in(&mut self, account: &UserId) -> bool {
        for to in [0, 1] {
            self.world.send(post("password-reset/").json(json!({ "email": MAILBOXES[to] }))).await;
            let from = self.mails.len();
            self.number += 1;
            self.receive(Actor::Owner).await;
            let fresh = self.mails[from..].iter().find(|mail| mail.purpose == MailPurpose::ResetPassword);
            let Some(link) = fresh.and_then(|mail| mail.link.clone()) else { continue };
            if self.world.send(link.set_password(RESET)).await.status != 200 {
                continue;
            }
            self.owners_password = RESET;
            let owns = self.at(MAILBOXES[to]).await.is_some_and(|user| user.id == *account);
            if owns && self.log_in(Actor::Owner, to, RESET).await {
                return true;
            }
        }
        false
    }
}
