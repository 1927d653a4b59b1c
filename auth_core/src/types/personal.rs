use super::{Email, User, Username};

/// What is known of the person who wants to set a password: it must not be made of that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Personal<'a> {
    /// The address of the account.
    pub email: Option<&'a Email>,
    /// The username of the account, if it has one.
    pub username: Option<&'a Username>,
}

impl<'a> Personal<'a> {
    /// What is known of an account's owner.
    pub fn of(user: &'a User) -> Self {
        Self { email: Some(&user.email), username: user.username.as_ref() }
    }
}
