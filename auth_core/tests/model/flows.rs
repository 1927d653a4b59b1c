//! The flows beside the model, called as an adapter calls them.

use std::collections::HashMap;

use auth_core::account::{EmailChangeConfirm, EmailChangeRequest, Mover, PasswordChangeRequest, SignUpRequest};

use auth_core::factor::{Confirmation, ReplacementRight, TotpPurpose, TotpReplacement};

use auth_core::login::{LoginOutcome, LoginRequest};

use auth_core::proof::LiveSession;
use auth_core::session::SessionTokens;
use auth_core::testing::{ManualClock, RecordingMailer};
use auth_core::types::{AuthMethods, Channel, Password, Token};
use auth_core::{AuthSystem, Error, Reason};

use crate::common::{Faults, Link, Store, World, second_step};
use crate::model::account::{ADDRESSES, Mailed, Model, PASSWORDS, Principal, Tokens};
use crate::model::address::name_of;
use crate::model::factors::{Code, Right};
use crate::model::ops::{self, Fixed, Kind, Op};
use crate::model::run::{Given, Refusal, System};

pub(crate) struct Flows<S> {
    world: World<S>,
    /// The session of each access token when it last was good. A flow that still holds it must see later changes.
    held: HashMap<String, LiveSession>,
}

impl<S> Flows<S> {
    pub(crate) fn of(world: World<S>) -> Self {
        Self { world, held: HashMap::new() }
    }
}

impl<S: Store> System for Flows<S> {
    fn auth(&self) -> &AuthSystem {
        &self.world.auth
    }

    fn clock(&self) -> &ManualClock {
        &self.world.clock
    }

    fn faults(&self) -> &Faults {
        &self.world.faults
    }

    fn mailer(&self) -> &RecordingMailer {
        &self.world.mailer
    }

    async fn purge(&self) {
        let auth = &self.world.auth;
        auth.purge_unverified_accounts().await.unwrap();
        auth.purge_deactivated_accounts().await.unwrap();
        auth.purge_deleted_accounts().await.unwrap();
        auth.purge_former_emails().await.unwrap();
        auth.purge_retired_factors().await.unwrap();
    }

    async fn perform(&self, by: Principal, model: &Model, op: &Fixed) -> Result<Given, Refusal> {
        self.call(by, model, op).await.map_err(|error| error.reason().code().to_owned())
    }

    fn refusal(&self, _: &Model, _: &Fixed, reason: Reason) -> Refusal {
        reason.code().to_owned()
    }

    async fn authenticate(&mut self, access: &str) -> Option<bool> {
        let live = self.world.auth.authenticate(access).await.ok()?;
        self.held.insert(access.to_owned(), live);
        Some(live.methods().contains(AuthMethods::MULTI_FACTOR))
    }

    fn restart(&mut self) {
        self.world.auth = self.world.node();
    }
}

impl<S: Store> Flows<S> {
    async fn call(&self, by: Principal, model: &Model, op: &Fixed) -> Result<Given, Error> {
        let World { auth, client, clock, .. } = &self.world;
        let tokens = |token: &usize| &model.issued[*token].tokens;
        let live = |token: &usize| &self.held[&tokens(token).access];
        match op {
            Op::SignUp(to, word) => {
                let (email, password, name) = (ADDRESSES[*to], PASSWORDS[*word], name_of(by).to_string());
                let request = SignUpRequest::new(crate::common::to_email(email), crate::common::new_password(password))
                    .attributes(vec![("first_name", &name)]);
                auth.request(client).sign_up(request).await.map(|_| Given::default())
            }
            Op::Resend(to) => auth
                .request(client)
                .resend_verification(&crate::common::to_email(ADDRESSES[*to]))
                .await
                .map(|()| Given::default()),
            Op::AskReset(to) => auth
                .request(client)
                .request_password_reset(&crate::common::to_email(ADDRESSES[*to]))
                .await
                .map(|()| Given::default()),
            Op::UseLink(kind, link, word) => {
                let Mailed { link: link @ Link { user, token, .. }, .. } = &model.mailed[*link];
                let done = match kind {
                    Kind::Verify => self.world.verify(link).await,
                    Kind::SetPassword => self.world.reset(link, PASSWORDS[*word]).await,
                    Kind::NotMe => auth.request(client).take_back(Some(*user), token, None).await.map(drop),
                    Kind::ChangeEmail | Kind::Object => unreachable!("they have operations of their own"),
                };
                done.map(|()| Given::default())
            }
            Op::Move(link, mover) => {
                let Mailed { mail, link: Link { user, token, .. }, .. } = &model.mailed[*link];
                let code = model.authenticator_of(by, mail.account).map(|with| model.text(Code::Totp(with, 0), clock));
                let word;
                let mover = match mover {
                    ops::Mover::Session(token) => Mover::Session(live(token)),
                    ops::Mover::Password(number) => {
                        word = password(*number);
                        Mover::Password { password: &word, code: code.as_deref() }
                    }
                };
                let request = EmailChangeConfirm { user: Some(*user), token, mover };
                auth.request(client).confirm_email_change(request).await.map(|()| Given::default())
            }
            Op::Object(link, code) => {
                let Link { user, token, .. } = &model.mailed[*link].link;
                let code = code.map(|code| model.text(code, clock));
                auth.request(client).take_back(Some(*user), token, code.as_deref()).await.map(|_| Given::default())
            }
            Op::Login(to, word) => {
                let (identifier, password) = (ADDRESSES[*to], password(*word));
                let request = LoginRequest::new(auth_core::types::Identifier::parse(identifier), &password)
                    .channel(Channel::Header);
                Ok(match auth.request(client).login(request).await? {
                    LoginOutcome::LoggedIn(login) => given(&login.session),
                    LoginOutcome::SecondFactorRequired(token) => {
                        Given { pending: Some(token.expose().to_owned()), ..Given::default() }
                    }
                })
            }
            Op::SecondStep(pending, code) => {
                let token = model.pendings[*pending].token.as_deref().unwrap();
                second_step(auth, token, &model.text(*code, clock)).await.map(|verified| given(&verified.login.session))
            }
            Op::SetUp(token, replace) => {
                let purpose = if *replace { TotpPurpose::Replace } else { TotpPurpose::Enrol };
                let setup =
                    auth.request(client).two_factor().set_up(live(token), Confirmation::default(), purpose).await?;
                Ok(Given { secret: Some(setup.secret.expose().to_owned()), ..Given::default() })
            }
            Op::Replace(token, with, right) => {
                let (code, old) = (model.text(Code::Totp(*with, 0), clock), model.text(right.code(), clock));
                let word;
                let right = match right {
                    Right::Totp(_) => ReplacementRight::Code(&old),
                    Right::Backup(number, ..) => {
                        word = password(*number);
                        ReplacementRight::BackupCode { password: &word, code: &old }
                    }
                };
                let request = TotpReplacement { code: &code, right };
                auth.request(client)
                    .two_factor()
                    .replace(live(token), request)
                    .await
                    .map(|replaced| given(&replaced.session))
            }
            Op::Enable(token, with) => {
                let enabled = auth
                    .request(client)
                    .two_factor()
                    .enable(live(token), &model.text(Code::Totp(*with, 0), clock))
                    .await?;
                Ok(Given { codes: Some(texts(&enabled.backup_codes)), ..given(&enabled.session) })
            }
            Op::Disable(token, word, with) => {
                let code = model.text(Code::Totp(*with, 0), clock);
                auth.request(client)
                    .two_factor()
                    .disable(live(token), &password(*word), &code)
                    .await
                    .map(|session| given(&session))
            }
            Op::Regenerate(token, word) => {
                let codes =
                    auth.request(client).two_factor().replace_backup_codes(live(token), &password(*word), None).await?;
                Ok(Given { codes: Some(texts(&codes)), ..Given::default() })
            }
            Op::Refresh(token) => {
                auth.request(client).refresh(&tokens(token).refresh).await.map(|session| given(&session))
            }
            Op::LogoutByAccess(token) => {
                auth.request(client).logout(Some(&tokens(token).access), None).await.map(|()| Given::default())
            }
            Op::LogoutByRefresh(token) => {
                auth.request(client).logout(None, Some(&tokens(token).refresh)).await.map(|()| Given::default())
            }
            Op::ChangePassword(token, old, new) => {
                let request = PasswordChangeRequest {
                    old_password: &password(*old),
                    new_password: &crate::common::new_password(PASSWORDS[*new]),
                };
                auth.request(client).change_password(live(token), request).await.map(|session| given(&session))
            }
            Op::AskEmail(token, to, word) => {
                let word = word.map(password);
                let confirmation = Confirmation { password: word.as_ref(), code: None };
                let request = EmailChangeRequest { new_email: &crate::common::to_email(ADDRESSES[*to]), confirmation };
                auth.request(client).request_email_change(live(token), request).await.map(|()| Given::default())
            }
            Op::Reauthenticate(token, word) => {
                let word = password(*word);
                let sent = Confirmation { password: Some(&word), code: None };
                auth.request(client).reauthenticate(live(token), sent).await.map(|session| given(&session))
            }
            Op::Deactivate(token, word) => {
                auth.request(client).deactivate(live(token), &password(*word)).await.map(|()| Given::default())
            }
            Op::Profile(token, name) => {
                let name = name.map(|name| name.to_string());
                auth.request(client)
                    .change_profile(live(token), &[("first_name", name.as_deref())])
                    .await
                    .map(|_| Given::default())
            }
            Op::ResetFactors(_) | Op::Operator(..) | Op::SetEmail(..) | Op::Steal(_) | Op::Purge | Op::Pass(_) => {
                unreachable!("no request asks for {op:?}")
            }
        }
    }
}

fn given(session: &SessionTokens) -> Given {
    let text = |token: &Token| token.expose().to_owned();
    let (access, refresh) = (text(&session.access.token), text(&session.refresh.token));
    Given { tokens: Some(Tokens { session: session.session, access, refresh }), ..Given::default() }
}

fn password(number: usize) -> Password {
    Password::new(PASSWORDS[number]).unwrap()
}

fn texts(codes: &[Token]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_owned()).collect()
}
