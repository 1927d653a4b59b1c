//! The page of the links that say "this was not me": it says what each of them does, and what it did.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::driver::{Driver, Page};
use super::{ADA, Inbox, LOVELACE, PASSWORD, SECOND_PASSWORD, code, log_in};
use crate::server::{Example, Site};

/// The other link of a mail that verifies an address.
fn denial(site: &Site, email: &str) -> String {
    let mail = site.mail(email);
    let link = mail.split_whitespace().find(|word| word.contains("/not-me?"));
    link.unwrap_or_else(|| panic!("no such link in {mail}")).to_owned()
}

/// A verified account that is logged in on the page.
async fn member(page: &Page, inbox: &mut Inbox<'_>, email: &str) {
    assert_eq!(inbox.site.sign_up(email).status, 201);
    page.open(&inbox.link(email, "Verify your account")).await;
    page.press("Confirm").await;
    page.heading("Your address is confirmed").await;
    log_in(page, email, PASSWORD).await;
    page.heading("Your profile").await;
}

/// Calls an endpoint from the page that is open, with its session.
async fn post(page: &Page, path: &str, body: &Value) -> Value {
    let script = format!(
        "return fetch('/api/auth/{path}', {{
            method: 'POST', headers: {{ 'content-type': 'application/json' }}, body: JSON.stringify({body}),
        }}).then((answer) => answer.json())"
    );
    page.script(&script).await
}

async fn move_to(page: &Page, inbox: &mut Inbox<'_>, email: &str) {
    post(page, "change-email/", &json!({ "new_email": email, "password": PASSWORD })).await;
    page.open(&inbox.link(email, "Verify your new email address")).await;
    page.press("Confirm").await;
    page.heading("Your address has been changed").await;
}

async fn set_password(page: &Page, link: &str, password: &str) {
    page.open(link).await;
    page.heading("Set a new password").await;
    page.fill("password", password).await;
    page.fill("confirm_password", password).await;
    page.press("Save password").await;
    page.heading("Your password has been changed").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn the_page_says_that_a_strangers_sign_up_is_removed_and_not_that_a_change_is_reverted() {
    let site = Example::Axum.site();
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "denial").await;
    let mut inbox = Inbox { site: &site, followed: HashSet::new() };
    // The owner of the mailbox is logged in to another account of theirs meanwhile.
    member(&page, &mut inbox, LOVELACE).await;
    assert_eq!(site.sign_up(ADA).status, 201);
    let link = denial(&site, ADA);
    page.open(&link).await;
    page.heading("Did you sign up?").await;
    page.text("If a stranger signed up with your email address, remove the account.").await;
    assert!(!page.read("main").await.contains("revert"));
    page.press("Remove the account").await;
    page.heading("The account was removed").await;
    page.text("Your email address is free.").await;
    page.open(&link).await;
    page.press("Remove the account").await;
    page.heading("This link does not work").await;
    page.text("Without your confirmation an account cannot be used").await;
    page.open("/").await;
    page.heading("Your profile").await;
    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn an_account_that_was_confirmed_meanwhile_is_not_removed_and_the_page_says_what_to_do() {
    let site = Example::Axum.site();
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "denied-late").await;
    let mut inbox = Inbox { site: &site, followed: HashSet::new() };
    member(&page, &mut inbox, ADA).await;
    page.open(&denial(&site, ADA)).await;
    page.press("Remove the account").await;
    page.heading("The account cannot be removed").await;
    page.text("set a new password").await;
    page.press("Reset the password").await;
    page.heading("Forgot your password?").await;
    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn the_page_names_each_change_that_a_link_reverts() {
    let site = Example::Axum.site().with("AUTH_TOTP_SKEW", "2");
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "reverts").await;
    let mut inbox = Inbox { site: &site, followed: HashSet::new() };
    member(&page, &mut inbox, ADA).await;

    post(&page, "change-password/", &json!({ "old_password": PASSWORD, "new_password": SECOND_PASSWORD })).await;
    page.open(&inbox.link(ADA, "Your password was changed")).await;
    page.heading("Did you change your password?").await;

    let secret = post(&page, "2fa/setup/", &json!({})).await["secret"].as_str().unwrap().to_owned();
    let backup = post(&page, "2fa/enable/", &json!({ "code": code(&secret, -1) })).await["backup_codes"].clone();
    page.open(&inbox.link(ADA, "Two-factor login is on")).await;
    page.heading("Did you turn on two-factor login?").await;
    page.text("The authentication method that was added is removed.").await;

    let login = json!({ "email": ADA, "password": SECOND_PASSWORD });
    let pending = post(&page, "login/", &login).await["session_token"].clone();
    for wrong in ["000000", backup[0].as_str().unwrap()] {
        post(&page, "2fa/verify-login/", &json!({ "session_token": pending, "code": wrong })).await;
    }
    page.open(&inbox.link(ADA, "A backup code was used")).await;
    page.heading("Did you log in with a backup code?").await;
    page.text("secure your account").await;
    page.press("Secure the account").await;
    page.heading("Your account is secured").await;
    page.text("make new backup codes").await;
    page.open("/").await;
    page.heading("Log in").await;
    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn an_objection_freezes_the_account_and_the_page_then_asks_for_a_code() {
    let site = Example::Axum.site();
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "objection").await;
    let mut inbox = Inbox { site: &site, followed: HashSet::new() };
    member(&page, &mut inbox, ADA).await;
    move_to(&page, &mut inbox, LOVELACE).await;
    page.open(&inbox.link(ADA, "Your email address was changed")).await;
    page.heading("Did you change your email address?").await;
    page.text("The account moves back to the address of our mail.").await;
    page.press("Revert the change").await;
    page.heading("The change was reverted").await;
    set_password(&page, &inbox.link(ADA, "Password Reset Request"), SECOND_PASSWORD).await;

    let lost = inbox.link(LOVELACE, "Your account was moved away");
    page.open(&lost).await;
    page.heading("Is this your account?").await;
    page.text("Without a code it is frozen").await;
    page.press("Claim the account").await;
    page.heading("The account is frozen").await;
    page.text("more than one address claims it").await;
    log_in(&page, ADA, SECOND_PASSWORD).await;
    page.notice("Email address or password is wrong").await;
    // Without a code the same link has nothing left to do.
    page.open(&lost).await;
    page.press("Claim the account").await;
    page.text("More than one address claims this account, so it is frozen.").await;
    page.press("Claim the account").await;
    page.mistake("code", "Enter the code.").await;
    page.fill("code", "000000").await;
    page.press("Claim the account").await;
    page.mistake("code", "This code is wrong").await;
    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn without_a_valid_link_the_page_tells_the_same_of_every_account() {
    let site = Example::Axum.site();
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "no-link").await;
    assert_eq!(site.sign_up(ADA).status, 201);
    let real = denial(&site, ADA);
    let (genuine, _) = real.split_once("&token=").unwrap();
    let unknown = "/not-me?uid=bm9ib2R5";
    for (kind, button) in [
        ("verify_email", "Remove the account"),
        ("password_changed", "Revert the change"),
        ("address_lost", "Claim the account"),
        ("constructor", "This was not me"),
    ] {
        let mut told = Vec::new();
        for link in [genuine, unknown] {
            page.open(&format!("{link}&token=forged&kind={kind}")).await;
            page.text(button).await;
            let before = page.read("main").await;
            page.press(button).await;
            page.heading("This link does not work").await;
            let after = page.read("main").await;
            assert!(!format!("{before}{after}").contains("@"), "{before}{after}");
            told.push((before, after));
        }
        assert_eq!(told[0], told[1], "{kind}");
    }
    page.open("/not-me").await;
    page.heading("This link is incomplete").await;
    page.close().await;
    assert!(server.end().success());
}
