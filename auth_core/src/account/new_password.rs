use crate::Request;
use crate::error::{Error, FieldError, FieldReason};
use crate::port::PasswordCheckError;
use crate::types::{Password, Personal};

impl Request<'_> {
    /// What every flow asks before it sets a password: the built-in rules, then the application's own check.
    ///
    /// Not before the client has proven whom `personal` is about: the answer tells of it.
    pub(crate) async fn accept_password(
        &self,
        field: &'static str,
        text: &str,
        personal: Personal<'_>,
    ) -> Result<Password, Error> {
        let password = self.policy().password.accept(field, text, personal).map_err(Error::invalid_fields)?;
        self.ask_password_check(field, &password, personal).await?;
        Ok(password)
    }

    /// The application's own check alone, for a flow that tells what the rules found along with other fields' errors.
    pub(crate) async fn ask_password_check(
        &self,
        field: &'static str,
        password: &Password,
        personal: Personal<'_>,
    ) -> Result<(), Error> {
        let Some(check) = &self.ports().password_check else { return Ok(()) };
        check.check(self.client(), password, personal).await.map_err(|error| match error {
            PasswordCheckError::Refused(text) => {
                Error::invalid_fields(vec![FieldError { field, reason: FieldReason::PasswordRefused(text) }])
            }
            PasswordCheckError::Unavailable(source) => Error::unavailable(source),
        })
    }
}
