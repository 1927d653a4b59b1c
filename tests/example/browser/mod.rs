//! The page in a real browser: the whole life of an account, as its owner clicks through it.
//! Screenshots of every view are left in `target/tmp/page`.

mod driver;
mod not_me;
mod siblings;

use std::collections::HashSet;

use auth_system::auth_core::port::Clock as _;
use auth_system::system::SystemClock;
use driver::{Driver, Page};

use crate::server::{Example, PASSWORD, Site, eventually, link};
use crate::totp::totp;

const ADA: &str = "ada@example.org";
const LOVELACE: &str = "lovelace@example.org";
const SECOND_PASSWORD: &str = "plum lantern quiet river";
const THIRD_PASSWORD: &str = "seven small grey pebbles";

/// The links in the mails of a site, each followed once.
struct Inbox<'a> {
    site: &'a Site,
    followed: HashSet<String>,
}

impl Inbox<'_> {
    fn link(&mut self, to: &str, subject: &str) -> String {
        let (to, subject) = (format!("\r\nTo: {to}\r\n"), format!("\r\nSubject: {subject}\r\n"));
        let link = eventually(&subject, || {
            let mails = self.site.mails().into_iter().map(|mail| format!("\r\n{mail}"));
            let mut links = mails.filter(|mail| mail.contains(&to) && mail.contains(&subject)).map(|mail| link(&mail));
            links.rfind(|link| !self.followed.contains(link))
        });
        self.followed.insert(link.clone());
        link
    }
}

/// The code of an authenticator, so many steps from now. A code counts once, and so does every earlier one.
fn code(secret: &str, steps: i64) -> String {
    totp(secret, SystemClock.now().seconds() + steps * 30)
}

async fn log_in(page: &Page, email: &str, password: &str) {
    page.open("/#/login").await;
    page.heading("Log in").await;
    page.fill("email", email).await;
    page.fill("password", password).await;
    page.press("Log in").await;
}

async fn log_out(page: &Page) {
    page.open("/").await;
    page.heading("Your profile").await;
    page.press("Log out").await;
    page.heading("You are logged out").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn an_account_lives_its_whole_life_on_the_page() {
    // Codes are used a step early and a step late, so that three of them count within one step.
    let site = Example::Axum.site().with("AUTH_TOTP_SKEW", "2");
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "life").await;
    let mut inbox = Inbox { site: &site, followed: HashSet::new() };

    sign_up(&page, &mut inbox).await;
    edit_the_profile(&page).await;
    change_the_password(&page).await;
    change_the_address(&page, &mut inbox).await;
    let secret = turn_two_factor_login_on(&page, &driver).await;
    let secret = replace_the_authenticator(&page, &secret).await;
    turn_two_factor_login_off(&page, &secret).await;
    revert_it(&page, &mut inbox).await;
    close_the_account(&page, &secret).await;

    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn where_a_second_factor_is_required_the_page_leads_to_it() {
    let site = Example::Axum.site().with("AUTH_REQUIRE_SECOND_FACTOR", "true");
    let server = site.start();
    let driver = Driver::start();
    let page = Page::new(&driver, &site, "required").await;
    assert_eq!(site.sign_up(ADA).status, 201);
    page.open(&link(&site.mail(ADA))).await;
    page.heading("Confirm your address").await;
    page.press("Confirm").await;
    page.heading("Your address is confirmed").await;
    log_in(&page, ADA, PASSWORD).await;
    page.heading("Two-factor login").await;
    page.text("Your account needs it before you can go on.").await;
    page.press("Set it up").await;
    page.heading("Set up your authenticator").await;
    let secret = page.read("[data-secret]").await;
    page.fill("code", &code(&secret, 0)).await;
    page.press("Turn it on").await;
    page.heading("Two-factor login is on").await;
    page.press("I have kept them").await;
    page.text("You have 10 backup codes left.").await;
    page.press("Back to your profile").await;
    page.heading("Your profile").await;
    page.close().await;
    assert!(server.end().success());
}

async fn sign_up(page: &Page, inbox: &mut Inbox<'_>) {
    page.open("/").await;
    page.heading("Log in").await;
    page.press("Create an account").await;
    page.heading("Create your account").await;
    page.fill("email", ADA).await;
    page.fill("password", "12345678").await;
    page.fill("confirm_password", "12345678").await;
    page.press("Sign up").await;
    page.mistake("password", "This password is too common.").await;
    page.fill("password", PASSWORD).await;
    page.press("Sign up").await;
    page.mistake("confirm_password", "The two passwords are not the same.").await;
    page.fill("confirm_password", PASSWORD).await;
    page.press("Sign up").await;
    page.heading("Check your mail").await;

    log_in(page, ADA, PASSWORD).await;
    page.notice("not confirmed yet").await;
    let link = inbox.link(ADA, "Verify your account");
    // Opening the link confirms nothing, even if scripts run.
    page.open(&link).await;
    page.heading("Confirm your address").await;
    log_in(page, ADA, PASSWORD).await;
    page.notice("not confirmed yet").await;
    page.open(&link).await;
    page.press("Confirm").await;
    page.heading("Your address is confirmed").await;
    page.open(&link).await;
    page.press("Confirm").await;
    page.heading("Already confirmed").await;
    log_in(page, ADA, PASSWORD).await;
    page.heading("Your profile").await;
    page.text("ada@example.org (confirmed)").await;
    page.text("Hello, user ").await;
}

async fn edit_the_profile(page: &Page) {
    page.press("Edit your profile").await;
    page.heading("Edit your profile").await;
    page.fill("first_name", "Ada").await;
    page.fill("last_name", "<b>Lovelace</b>").await;
    page.press("Save").await;
    page.heading("Your profile").await;
    page.text("<b>Lovelace</b>").await;
}

async fn change_the_password(page: &Page) {
    page.press("Change your password").await;
    page.heading("Change your password").await;
    page.fill("old_password", "not the password").await;
    page.fill("new_password", SECOND_PASSWORD).await;
    page.fill("confirm_password", SECOND_PASSWORD).await;
    page.press("Save password").await;
    page.mistake("old_password", "Wrong password.").await;
    page.fill("old_password", PASSWORD).await;
    page.press("Save password").await;
    page.heading("Your password has been changed").await;
    page.press("Your profile").await;
    page.heading("Your profile").await;
}

async fn change_the_address(page: &Page, inbox: &mut Inbox<'_>) {
    // The session has shown no method recently.
    assert!(inbox.site.execute("UPDATE auth_sessions SET method_times = '{}'").await > 0);
    page.press("Refresh session").await;
    page.notice("Your session has been refreshed.").await;
    page.press("Change your email address").await;
    page.heading("Change your email address").await;
    page.fill("new_email", LOVELACE).await;
    page.press("Send a link").await;
    page.text("Is it still you?").await;
    page.press("Cancel").await;
    page.notice("Give your password again.").await;
    page.press("Send a link").await;
    page.text("Is it still you?").await;
    page.fill("password", PASSWORD).await;
    page.press("Go on").await;
    page.mistake("ask-password", "Wrong password.").await;
    page.fill("password", SECOND_PASSWORD).await;
    page.press("Go on").await;
    page.heading("Check your mail").await;
    let link = inbox.link(LOVELACE, "Verify your new email address");
    // Another person reads the mail, or its owner does on another device.
    page.open("/").await;
    page.press("Log out").await;
    page.open(&link).await;
    page.heading("Confirm your new address").await;
    page.press("Confirm").await;
    page.heading("Is it your account?").await;
    page.fill("password", PASSWORD).await;
    page.press("Confirm").await;
    page.mistake("password", "Wrong password.").await;
    // A session of the account is enough.
    log_in(page, ADA, SECOND_PASSWORD).await;
    page.heading("Your profile").await;
    page.open(&link).await;
    page.press("Confirm").await;
    page.heading("Your address has been changed").await;
    log_in(page, LOVELACE, SECOND_PASSWORD).await;
    page.heading("Your profile").await;
    page.text("lovelace@example.org (confirmed)").await;
}

/// The authenticator's secret, after a login by a backup code.
async fn turn_two_factor_login_on(page: &Page, driver: &Driver) -> String {
    page.press("Two-factor login").await;
    page.heading("Two-factor login").await;
    page.press("Set it up").await;
    page.heading("Set up your authenticator").await;
    let secret = page.read("[data-secret]").await;
    assert!(page.qr_code().await.contains(&format!("/AuthSystem:lovelace%40example.org?secret={secret}&")));
    page.fill("code", "000000").await;
    page.press("Turn it on").await;
    page.mistake("code", "This code is wrong").await;
    page.fill("code", &code(&secret, -1)).await;
    page.press("Turn it on").await;
    page.heading("Two-factor login is on").await;
    let codes = page.read_all(".codes code").await;
    assert_eq!(codes.len(), 10);
    page.press("Copy").await;
    page.notice("clipboard").await;
    page.press("Download").await;
    assert_eq!(driver.downloaded("backup-codes.txt").lines().collect::<Vec<_>>(), codes);
    log_out(page).await;

    log_in(page, LOVELACE, SECOND_PASSWORD).await;
    page.heading("One more step").await;
    page.press("Log in as somebody else").await;
    page.heading("Log in").await;
    page.fill("password", SECOND_PASSWORD).await;
    page.press("Log in").await;
    page.heading("One more step").await;
    page.fill("code", &code(&secret, 0)).await;
    page.press("Go on").await;
    page.heading("Your profile").await;
    log_out(page).await;

    log_in(page, LOVELACE, SECOND_PASSWORD).await;
    page.heading("One more step").await;
    page.fill("code", &codes[0]).await;
    page.press("Go on").await;
    page.heading("You used a backup code").await;
    page.text("9 are left.").await;
    secret
}

/// New backup codes for a user who has the authenticator, and a new authenticator for one who has lost it: its secret.
async fn replace_the_authenticator(page: &Page, secret: &str) -> String {
    page.open("/#/two-factor").await;
    page.heading("Two-factor login").await;
    page.text("You have 9 backup codes left.").await;
    page.press("New backup codes").await;
    page.heading("New backup codes").await;
    page.fill("password", PASSWORD).await;
    page.press("Make new codes").await;
    page.mistake("password", "This password is wrong.").await;
    page.fill("password", SECOND_PASSWORD).await;
    page.press("Make new codes").await;
    // The last login was by a backup code.
    page.fill("code", "000000").await;
    page.press("Go on").await;
    page.mistake("ask-code", "This code is wrong").await;
    page.fill("code", &code(secret, 1)).await;
    page.press("Go on").await;
    page.heading("Your new backup codes").await;
    let codes = page.read_all(".codes code").await;
    page.press("I have kept them").await;
    page.text("You have 10 backup codes left.").await;

    page.press("Replace the authenticator").await;
    page.heading("Replace the authenticator").await;
    page.press("I have lost it").await;
    page.heading("Set up your authenticator").await;
    let new = page.read("[data-secret]").await;
    assert_ne!(new, secret);
    page.fill("code", &code(&new, 0)).await;
    page.fill("password", SECOND_PASSWORD).await;
    page.fill("backup_code", &codes[0]).await;
    page.press("Replace it").await;
    page.heading("The authenticator was replaced").await;
    new
}

async fn turn_two_factor_login_off(page: &Page, secret: &str) {
    page.open("/#/two-factor").await;
    page.text("You have 9 backup codes left.").await;
    page.press("Turn it off").await;
    page.heading("Turn off two-factor login").await;
    page.fill("password", SECOND_PASSWORD).await;
    page.fill("code", &code(secret, 1)).await;
    page.press("Turn it off").await;
    page.heading("Two-factor login is off").await;
}

async fn revert_it(page: &Page, inbox: &mut Inbox<'_>) {
    let link = inbox.link(LOVELACE, "Two-factor login is off");
    page.open(&link).await;
    page.heading("Did you turn off two-factor login?").await;
    // To have looked at it changed nothing.
    page.open("/").await;
    page.heading("Your profile").await;
    page.open(&link).await;
    page.heading("Did you turn off two-factor login?").await;
    page.press("Revert the change").await;
    page.heading("The change was reverted").await;
    page.open("/").await;
    page.heading("Log in").await;
    page.open(&link).await;
    page.press("Revert the change").await;
    page.heading("This link does not work").await;
    page.text("The change may also have been reverted already.").await;

    page.open(&inbox.link(LOVELACE, "Password Reset Request")).await;
    page.heading("Set a new password").await;
    page.fill("password", THIRD_PASSWORD).await;
    page.fill("confirm_password", THIRD_PASSWORD).await;
    page.press("Save password").await;
    page.heading("Your password has been changed").await;
    log_in(page, LOVELACE, SECOND_PASSWORD).await;
    page.notice("Email address or password is wrong").await;

    page.open("/#/forgot").await;
    page.heading("Forgot your password?").await;
    page.fill("email", LOVELACE).await;
    page.press("Send a link").await;
    page.heading("Check your mail").await;
    inbox.link(LOVELACE, "Password Reset Request");
}

/// Two-factor login is on again: turning it off was reverted.
async fn close_the_account(page: &Page, secret: &str) {
    log_in(page, LOVELACE, THIRD_PASSWORD).await;
    page.heading("One more step").await;
    page.fill("code", &code(secret, 2)).await;
    page.press("Go on").await;
    page.heading("Your profile").await;
    page.press("Close your account").await;
    page.heading("Close your account").await;
    page.fill("password", THIRD_PASSWORD).await;
    page.press("Close my account").await;
    page.mistake("confirm_deactivation", "Tick this to go on.").await;
    page.press("I want to close my account").await;
    page.press("Close my account").await;
    page.heading("Your account is closed").await;
    log_in(page, LOVELACE, THIRD_PASSWORD).await;
    page.notice("Email address or password is wrong").await;
}
