//! The model of auth_core's tests beside the whole service: its deeds are requests, and what hangs is a request that
//! never gets its answer.

#[path = "../../auth_core/tests/model/mod.rs"]
mod lives;

use auth_system::Auth;
use auth_system::auth_core::testing::{ManualClock, RecordingMailer};
use auth_system::auth_core::types::SessionId;
use auth_system::auth_core::{AuthSystem, Reason};
use http::Method;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use self::lives::account::{ADDRESSES, Model, PASSWORDS, Principal, Tokens};
use self::lives::address::name_of;
use self::lives::factors::{Code, Right};
use self::lives::ops::{self, Deed, Fixed, Kind, Mover, Op};
use self::lives::run::{Given, Refusal, Run, System};
use crate::common;
use crate::door::Door;
use crate::faults::Faults;
use crate::scenarios;
use crate::world::{self, ACCESS, Answer, Call, Ground, Jar, Link, REFRESH, World, call, claims, get, post};

scenarios![what_is_alive_in_the_model_is_what_gets_in, a_crash_leaves_each_account_as_before_or_as_after];

async fn what_is_alive_in_the_model_is_what_gets_in(ground: Ground) {
    lives(ground, ops::deed(false).boxed());
}

async fn a_crash_leaves_each_account_as_before_or_as_after(ground: Ground) {
    lives(ground, ops::deed(true).boxed());
}

/// Several lives, each in a world of its own.
fn lives(ground: Ground, deed: BoxedStrategy<Deed>) {
    let config = ops::config(if ground.is_durable() { 25 } else { 100 });
    let life = (ops::start(), proptest::collection::vec(deed, 1..40));
    let outcome = TestRunner::new(config).run(&life, |(start, deeds)| {
        let life = [start, deeds].concat();
        block_in_place(|| {
            Handle::current().block_on(async { Run::new(Service::start(ground).await).live(&life).await });
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A process that serves a world.
struct Service {
    ground: Ground,
    world: World,
    faults: Faults,
    auth: Auth,
    door: Door,
}

impl Service {
    async fn start(ground: Ground) -> Self {
        let (world, faults) = (ground.world().await, Faults::default());
        let (auth, door) = process(ground, &world, &faults);
        Self { ground, world, faults, auth, door }
    }
}

fn process(ground: Ground, world: &World, faults: &Faults) -> (Auth, Door) {
    let auth = faults.builder(world, world::config()).without_workers().build().unwrap();
    let door = Door::of(ground.driver, &auth);
    (auth, door)
}

impl System for Service {
    fn auth(&self) -> &AuthSystem {
        self.auth.system()
    }

    fn clock(&self) -> &ManualClock {
        &self.world.clock
    }

    fn faults(&self) -> &common::Faults {
        &self.faults.stores
    }

    fn mailer(&self) -> &RecordingMailer {
        &self.world.mailer
    }

    async fn purge(&self) {
        // The one with a directory.
        let system = self.world.auth.system();
        system.purge_unverified_accounts().await.unwrap();
        system.purge_deactivated_accounts().await.unwrap();
        system.purge_deleted_accounts().await.unwrap();
        system.purge_former_emails().await.unwrap();
        system.purge_retired_factors().await.unwrap();
    }

    async fn perform(&self, by: Principal, model: &Model, op: &Fixed) -> Result<Given, Refusal> {
        let answer = self.door.send(request(by, model, op, self.clock())).await;
        match answer.status.as_u16() {
            200 | 201 => Ok(given(&answer)),
            status @ (400 | 401 | 403 | 503) => {
                let code = answer.json()["code"].as_str().unwrap().to_owned();
                assert_eq!(code == Reason::Unavailable.code(), status == 503, "{answer:?}");
                assert_eq!(answer.jar(), Jar::default());
                Err(code)
            }
            _ => panic!("{op:?}: {answer:?}"),
        }
    }

    /// The holder of a token that no longer counts is told so, and not what has changed.
    fn refusal(&self, model: &Model, op: &Fixed, reason: Reason) -> Refusal {
        let held = held(op).map(|token| &model.issued[token]);
        let reason = match held {
            Some(held) if model.access_is_over(held) => Reason::TokenExpired,
            Some(held) if !model.access_is_alive(held) => Reason::NotAuthenticated,
            _ => reason,
        };
        reason.code().to_owned()
    }

    async fn authenticate(&mut self, access: &str) -> Option<bool> {
        let answer = self.door.app(get("/whoami").jar(&Jar::of(ACCESS, access))).await;
        let claims = claims(access);
        match answer.status.as_u16() {
            200 => {
                assert!(answer.text().ends_with(claims["sid"].as_str().unwrap()), "{answer:?}");
                Some(claims["amr"].as_array().unwrap().contains(&json!("mfa")))
            }
            401 => None,
            _ => panic!("{answer:?}"),
        }
    }

    fn restart(&mut self) {
        (self.auth, self.door) = process(self.ground, &self.world, &self.faults);
    }
}

/// The access token that an operation is done with.
fn held(op: &Fixed) -> Option<usize> {
    match op {
        Op::ChangePassword(token, ..)
        | Op::AskEmail(token, ..)
        | Op::Reauthenticate(token, _)
        | Op::Deactivate(token, _)
        | Op::Profile(token, _)
        | Op::SetUp(token, _)
        | Op::Enable(token, _)
        | Op::Replace(token, ..)
        | Op::Disable(token, ..)
        | Op::Regenerate(token, _) => Some(*token),
        _ => None,
    }
}

/// An operation as it is sent.
fn request(by: Principal, model: &Model, op: &Fixed, clock: &ManualClock) -> Call {
    let tokens = |token: &usize| &model.issued[*token].tokens;
    let by_access = |call: Call, token: &usize| call.jar(&Jar::of(ACCESS, &tokens(token).access));
    let by_refresh = |call: Call, token: &usize| call.jar(&Jar::of(REFRESH, &tokens(token).refresh));
    let text = |code: Code| model.text(code, clock);
    match op {
        Op::SignUp(to, word) => {
            let (email, password, name) = (ADDRESSES[*to], PASSWORDS[*word], name_of(by).to_string());
            post("signup/").json(json!({ "email": email, "password": password, "first_name": name }))
        }
        Op::Resend(to) => post("resend-verification/").json(json!({ "email": ADDRESSES[*to] })),
        Op::AskReset(to) => post("password-reset/").json(json!({ "email": ADDRESSES[*to] })),
        Op::UseLink(kind, mailed, word) => {
            let link = link(model, *mailed);
            match kind {
                Kind::Verify => link.verify(),
                Kind::SetPassword => link.set_password(PASSWORDS[*word]),
                Kind::NotMe => link.not_me(),
                Kind::ChangeEmail | Kind::Object => unreachable!("they have operations of their own"),
            }
        }
        Op::Move(mailed, Mover::Session(token)) => {
            link(model, *mailed).change_email(&Jar::of(ACCESS, &tokens(token).access))
        }
        Op::Move(mailed, Mover::Password(word)) => {
            let mut proof = json!({ "password": PASSWORDS[*word] });
            if let Some(with) = model.authenticator_of(by, model.mailed[*mailed].mail.account) {
                proof["code"] = text(Code::Totp(with, 0)).into();
            }
            link(model, *mailed).change_email_by_post(proof)
        }
        Op::Object(mailed, code) => {
            let call = link(model, *mailed).not_me();
            let Some(code) = code else { return call };
            let mut body: Value = serde_json::from_slice(&call.body).unwrap();
            body["code"] = text(*code).into();
            post("not-me/").json(body)
        }
        Op::Login(to, word) => post("login/").json(json!({ "email": ADDRESSES[*to], "password": PASSWORDS[*word] })),
        Op::SecondStep(pending, code) => {
            let token = &model.pendings[*pending].token;
            post("2fa/verify-login/").json(json!({ "session_token": token, "code": text(*code) }))
        }
        Op::Refresh(token) => by_refresh(post("refresh/"), token),
        Op::LogoutByAccess(token) => by_access(post("logout/"), token),
        Op::LogoutByRefresh(token) => by_refresh(post("logout/"), token),
        Op::ChangePassword(token, old, new) => {
            let (old, new) = (PASSWORDS[*old], PASSWORDS[*new]);
            by_access(post("change-password/"), token).json(json!({ "old_password": old, "new_password": new }))
        }
        Op::AskEmail(token, to, word) => {
            let mut body = json!({ "new_email": ADDRESSES[*to] });
            if let Some(word) = word {
                body["password"] = PASSWORDS[*word].into();
            }
            by_access(post("change-email/"), token).json(body)
        }
        Op::Reauthenticate(token, word) => {
            by_access(post("reauthenticate/"), token).json(json!({ "password": PASSWORDS[*word] }))
        }
        Op::Deactivate(token, word) => {
            let body = json!({ "password": PASSWORDS[*word], "confirm_deactivation": true });
            by_access(post("deactivate-account/"), token).json(body)
        }
        Op::Profile(token, name) => {
            let name = name.map(|name| name.to_string());
            by_access(call(Method::PATCH, "me/"), token).json(json!({ "first_name": name }))
        }
        Op::SetUp(token, replace) => by_access(post("2fa/setup/"), token).json(json!({ "replace": replace })),
        Op::Replace(token, with, right) => {
            let mut body = json!({ "code": text(Code::Totp(*with, 0)) });
            match right {
                Right::Totp(_) => body["current_code"] = text(right.code()).into(),
                Right::Backup(word, ..) => {
                    body["password"] = PASSWORDS[*word].into();
                    body["backup_code"] = text(right.code()).into();
                }
            }
            by_access(post("2fa/replace/"), token).json(body)
        }
        Op::Enable(token, with) => {
            by_access(post("2fa/enable/"), token).json(json!({ "code": text(Code::Totp(*with, 0)) }))
        }
        Op::Disable(token, word, with) => {
            let body = json!({ "password": PASSWORDS[*word], "code": text(Code::Totp(*with, 0)) });
            by_access(post("2fa/disable/"), token).json(body)
        }
        Op::Regenerate(token, word) => {
            by_access(post("2fa/backup-codes/"), token).json(json!({ "password": PASSWORDS[*word] }))
        }
        Op::ResetFactors(_) | Op::Operator(..) | Op::SetEmail(..) | Op::Steal(_) | Op::Purge | Op::Pass(_) => {
            unreachable!("no request asks for {op:?}")
        }
    }
}

fn link(model: &Model, mailed: usize) -> Link {
    let common::Link { user, token, .. } = &model.mailed[mailed].link;
    Link::from_parts(user.as_str(), token)
}

/// The secrets that an answer hands out, in cookies and in its body.
fn given(answer: &Answer) -> Given {
    let (jar, body) = (answer.jar(), answer.json());
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let tokens = jar.has_access().then(|| {
        let (access, refresh) = (jar.access().to_owned(), jar.refresh().to_owned());
        let session = claims(&access)["sid"].as_str().unwrap().parse().map(SessionId).unwrap();
        Tokens { session, access, refresh }
    });
    let codes = match &body["backup_codes"] {
        Value::Null => None,
        codes => Some(serde_json::from_value(codes.clone()).unwrap()),
    };
    Given { tokens, pending: text("session_token"), secret: text("secret"), codes }
}
