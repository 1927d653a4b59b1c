use crate::types::User;

/// Whose login needs a second factor, where the policy leaves it to the user: administrators' alone, say.
pub trait SecondFactorRule: Send + Sync + 'static {
    /// Whether this account must have one. Until it has, a login gets a session that is good for enrolling one and
    /// nothing else. Called at each login, with the row that the password was checked against.
    fn requires_second_factor(&self, user: &User) -> bool;
}
