use crate::Request;
use crate::commit::{Change, until_won};
use crate::error::{Error, FieldError, FieldReason};
use crate::port::{Event, UserChange};
use crate::proof::LiveSession;
use crate::types::{Attributes, User};

impl Request<'_> {
    /// Changes the application's own fields of the account: those that the policy knows and the caller names. `None`
    /// removes one. Ends no session.
    ///
    /// # Errors
    /// `invalid_fields`; `not_authenticated` and its like when the account changed since the login; `unavailable`.
    pub async fn change_profile(&self, live: &LiveSession, changes: &[(&str, Option<&str>)]) -> Result<User, Error> {
        let mut errors = Vec::new();
        let mut accepted = Vec::new();
        for rule in &self.policy().attributes {
            let Some((_, value)) = changes.iter().find(|(name, _)| *name == rule.name) else { continue };
            match value {
                Some(text) if !rule.permits(text) => {
                    errors.push(FieldError { field: rule.name, reason: FieldReason::TooLong(rule.max_chars) });
                }
                value => accepted.push((rule.name, *value)),
            }
        }
        if !errors.is_empty() {
            return Err(Error::invalid_fields(errors));
        }
        until_won!({
            let user = self.current_user(live).await?;
            let attributes = merged(&user.attributes, &accepted);
            if attributes == user.attributes {
                return Ok(Some(user));
            }
            let write = UserChange { attributes: Some(attributes), ..UserChange::default() };
            self.commit(&user, Change::new(Event::ProfileChanged { user: user.id }, write)).await
        })
    }
}

fn merged(attributes: &Attributes, changes: &[(&str, Option<&str>)]) -> Attributes {
    let mut attributes = attributes.clone();
    for (name, value) in changes {
        match value {
            Some(text) => drop(attributes.insert((*name).to_owned(), (*text).into())),
            None => drop(attributes.remove(*name)),
        }
    }
    attributes
}
