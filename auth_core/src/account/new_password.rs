use crate::Request;
use crate::error::{Error, FieldError, FieldReason};
use crate::policy::NewPassword;
use crate::port::PasswordCheckError;
use crate::types::Personal;

impl Request<'_> {
    /// Rejects a password that is like its owner's data. Every flow asks this before it sets a password.
    ///
    /// Not before the client has proven whom `personal` is about: the answer tells of it.
    pub(crate) fn check_unlike(
        &self,
        field: &'static str,
        password: &NewPassword,
        personal: Personal<'_>,
    ) -> Result<(), Error> {
        match self.policy().password.is_like(password, personal) {
            Some(known) => Err(wrong(field, FieldReason::PasswordTooSimilar(known))),
            None => Ok(()),
        }
    }

    /// Judges a text that a client wants to set as a password in the named field, by all rules of the policy at once.
    /// `personal` is what the request says of its owner.
    ///
    /// # Errors
    /// `invalid_fields`, with all that is wrong with it.
    pub fn new_password(&self, field: &'static str, text: &str, personal: Personal<'_>) -> Result<NewPassword, Error> {
        self.policy().password.accept(field, text, personal).map_err(Error::invalid_fields)
    }

    /// Judges a text that an operator gives as a password.
    pub(crate) async fn accept_new_password(
        &self,
        field: &'static str,
        text: &str,
        personal: Personal<'_>,
    ) -> Result<NewPassword, Error> {
        let password = self.new_password(field, text, personal)?;
        self.ask_password_check(field, &password, personal).await?;
        Ok(password)
    }

    /// Asks the application's own check. Every flow does before it sets a password, last of all checks.
    pub(crate) async fn ask_password_check(
        &self,
        field: &'static str,
        password: &NewPassword,
        personal: Personal<'_>,
    ) -> Result<(), Error> {
        let Some(check) = &self.ports().password_check else { return Ok(()) };
        check.check(self.client(), password.as_password(), personal).await.map_err(|error| match error {
            PasswordCheckError::Refused(text) => wrong(field, FieldReason::PasswordRefused(text)),
            PasswordCheckError::Unavailable(source) => Error::unavailable(source),
        })
    }
}

fn wrong(field: &'static str, reason: FieldReason) -> Error {
    Error::invalid_fields(vec![FieldError { field, reason }])
}
