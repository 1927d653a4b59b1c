use auth_core::Reason;
use auth_core::flow::PasswordChangeRequest;
use auth_core::proof::LiveSession;
use auth_core::types::Personal;
use http::StatusCode;

use super::Exchange;
use super::doc::{Cookies, Doc, Field, Kind, Need};
use super::problem::Problem;
use super::reply::Reply;
use crate::config::Profile;

pub(super) const CHANGE: Doc = Doc::new("password", "Change the password; every other session ends")
    .fields(&[
        Field::required("old_password", Kind::Password),
        Field::required("new_password", Kind::NewPassword),
        Field::new("confirm_password", Kind::Password, Need::RequiredInDjango),
    ])
    .cookies(Cookies::Session)
    .refusals(|profile| {
        let wrong = Problem::from(Reason::WrongPassword).in_field("old_password");
        vec![wrong, Problem::passwords_differ(profile, "confirm_password")]
    });

/// `{old_password, new_password, confirm_password?}` -> 200 and both cookies of a new session.
pub(super) async fn change(x: &Exchange<'_>, live: LiveSession) -> Result<Reply, Problem> {
    let system = x.auth.system();
    let mut read = x.fields.reader();
    let old_password = read.password("old_password");
    let new_password = read.new_password("new_password", &system.policy().password, Personal::default());
    let same = read.repeats("confirm_password", new_password, x.profile() == Profile::Django);
    read.finish()?;
    if !same {
        return Err(Problem::passwords_differ(x.profile(), "confirm_password"));
    }
    let request = PasswordChangeRequest { old_password: &old_password, new_password };
    let changed = system.change_password(&x.client, &live, request).await;
    let session = changed.map_err(|error| Problem::from(error).in_field("old_password"))?;
    Ok(Reply::detail(StatusCode::OK, "Password updated successfully.").with_session(x.auth, &session))
}
