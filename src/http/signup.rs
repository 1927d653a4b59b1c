use auth_core::error::FieldReason;
use auth_core::flow::SignUpRequest;
use auth_core::types::{Email, Personal, Username};
use http::StatusCode;

use super::Exchange;
use super::caller;
use super::doc::{Attributes, Doc, Field, Kind, Need};
use super::problem::Problem;
use super::reply::Reply;
use crate::config::Profile;

pub(super) const SIGN_UP: Doc = Doc::new("account", "Make an account; a mail verifies its address")
    .fields(&[
        Field::required("email", Kind::Email),
        Field::new("username", Kind::Username, Need::WithUsernames),
        Field::required("password", Kind::NewPassword),
        Field::new("confirm_password", Kind::Password, Need::RequiredInDjango),
    ])
    .attributes(Attributes::Optional)
    .created();

/// `{email, password, confirm_password?, username?, ...attributes}` -> 201.
pub(super) async fn sign_up(x: &Exchange<'_>) -> Result<Reply, Problem> {
    let system = x.auth.system();
    let policy = system.policy();
    let mut read = x.fields.reader();
    let email = read.email("email");
    let username = policy.usernames.then(|| read.username("username"));
    let parsed = (Email::parse(email).ok(), username.and_then(|name| Username::parse(name).ok()));
    let personal = Personal { email: parsed.0.as_ref(), username: parsed.1.as_ref() };
    let password = read.new_password("password", &policy.password, personal);
    if !read.repeats("confirm_password", password, x.profile() == Profile::Django) {
        read.wrong(mismatch_field(x.profile()), FieldReason::PasswordMismatch);
    }
    let optional = policy.attributes.iter();
    let attributes =
        optional.filter_map(|rule| Some((rule.name, read.optional_text(rule.name, rule.max_chars)?))).collect();
    read.finish()?;
    let client = x.client.on_device(caller::device_token(x.auth, x.headers));
    system.sign_up(&client, SignUpRequest { email, username, password, attributes }).await?;
    let detail = "User created successfully. Please check your email to verify your account.";
    Ok(Reply::detail(StatusCode::CREATED, detail))
}

/// Where each profile reports that the two passwords differ.
fn mismatch_field(profile: Profile) -> &'static str {
    match profile {
        Profile::Standard => "confirm_password",
        Profile::Django => "password",
    }
}
