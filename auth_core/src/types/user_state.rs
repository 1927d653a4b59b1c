//! An account as one opaque text, for user tables that have a column for it and none for its parts.

use serde_json::{Map, Value, json};

use super::{
    Claim, Email, EnrolledFactor, PasswordHash, Recoveries, TenantId, Timestamp, TokenVersion, User, UserId,
    UserStatus, Username,
};

/// The form that [`User::to_opaque`] writes. A build refuses what a newer one wrote: it would lose what it cannot read.
const VERSION: u64 = 2;
/// The first form, which lacks the parts that are read as optional.
const FIRST: u64 = 1;

/// What a table keeps of an account in columns of its own, beside the opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKeys {
    /// The tenant: the default one, where there are no others.
    pub tenant: TenantId,
    /// The id.
    pub id: UserId,
    /// The address, by its key ([`Email::stored`]); look it up byte by byte. The opaque text has the spelling.
    pub email: Email,
    /// The time of the last change, by which the feed is ordered.
    pub changed_at: Timestamp,
}

/// A text is no account as this build writes them: of another version, or changed by a foreign hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable account: {0}")]
pub struct InvalidUserState(&'static str);

impl User {
    /// All of the account but its [`UserKeys`], as JSON. The same account always gives the same text, so a store may
    /// compare and swap the text as a whole.
    pub fn to_opaque(&self) -> String {
        let micros = |time: Option<Timestamp>| time.map(Timestamp::micros);
        json!({
            "v": VERSION,
            "email_spelling": self.email.other_spelling(),
            "username": self.username.as_ref().map(Username::as_str),
            "email_verified_at": micros(self.email_verified_at),
            "claim": self.claim.as_str(),
            "signed_up_from": self.claim.from().map(|from| from.to_string()),
            "status": self.status.as_str(),
            "deactivated_at": micros(self.status.since()),
            "password_hash": self.password_hash.as_ref().map(PasswordHash::expose),
            "token_version": self.token_version.get(),
            "factors": self.factors.iter().map(EnrolledFactor::to_json).collect::<Value>(),
            "consecutive_failures": self.consecutive_failures,
            "recoveries": self.recoveries.to_json(),
            "attributes": self.attributes,
            "created_at": self.created_at.micros(),
            "last_login_at": micros(self.last_login_at),
            "revision": self.revision,
        })
        .to_string()
    }

    /// Reads what [`to_opaque`](Self::to_opaque) wrote, also in the first version of this crate.
    ///
    /// # Errors
    /// [`InvalidUserState`] for anything else: another version, a part that is missing, unknown or unreadable.
    pub fn from_opaque(keys: UserKeys, text: &str) -> Result<Self, InvalidUserState> {
        let parts = serde_json::from_str(text).map_err(|_| InvalidUserState("not a JSON object"))?;
        let mut parts = Parts(parts);
        let version = parts.read("v", |v| v.as_u64().filter(|version| (FIRST..=VERSION).contains(version)))?;
        if version == FIRST {
            let claim = Claim::Unknown.as_str();
            parts
                .add(json!({ "claim": claim, "signed_up_from": null, "deactivated_at": null, "email_spelling": null }));
        }
        let deactivated_at = parts.maybe("deactivated_at", time)?;
        let signed_up_from = parts.maybe("signed_up_from", |from| from.as_str()?.parse().ok())?;
        let email = match parts.maybe("email_spelling", |spelling| Some(spelling.as_str()?.to_owned()))? {
            Some(spelling) => Email::stored(keys.email.as_str(), Some(&spelling)).unwrap_or(keys.email),
            None => keys.email,
        };
        let user = Self {
            tenant: keys.tenant,
            id: keys.id,
            email,
            username: parts.maybe("username", |name| {
                Username::parse(name.as_str()?).ok().filter(|parsed| Some(parsed.as_str()) == name.as_str())
            })?,
            email_verified_at: parts.maybe("email_verified_at", time)?,
            claim: parts.read("claim", |claim| Claim::parse(claim.as_str()?, signed_up_from))?,
            status: parts.read("status", |status| UserStatus::parse(status.as_str()?, deactivated_at))?,
            password_hash: parts.maybe("password_hash", |hash| Some(PasswordHash::new(hash.as_str()?)))?,
            token_version: parts.read("token_version", |version| TokenVersion::read(version.as_u64()?))?,
            factors: parts.read("factors", |list| list.as_array()?.iter().map(EnrolledFactor::from_json).collect())?,
            consecutive_failures: parts.read("consecutive_failures", number)?,
            recoveries: parts.read("recoveries", Recoveries::from_json)?,
            attributes: parts.read("attributes", |fields| fields.as_object().cloned())?,
            created_at: parts.read("created_at", time)?,
            last_login_at: parts.maybe("last_login_at", time)?,
            changed_at: keys.changed_at,
            revision: parts.read("revision", Value::as_u64)?,
        };
        if parts.0.is_empty() { Ok(user) } else { Err(InvalidUserState("an unknown part")) }
    }
}

/// What is still to be read.
struct Parts(Map<String, Value>);

impl Parts {
    /// Adds the parts that an older form lacks.
    fn add(&mut self, parts: Value) {
        if let Value::Object(parts) = parts {
            for (name, value) in parts {
                self.0.entry(name).or_insert(value);
            }
        }
    }

    fn read<T>(&mut self, name: &'static str, parse: impl FnOnce(&Value) -> Option<T>) -> Result<T, InvalidUserState> {
        self.0.remove(name).as_ref().and_then(parse).ok_or(InvalidUserState(name))
    }

    fn maybe<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, InvalidUserState> {
        self.read(name, |value| if value.is_null() { Some(None) } else { parse(value).map(Some) })
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_i64().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::super::{Attributes, CredentialId, FactorKind};
    use super::*;

    fn user() -> (UserKeys, User) {
        let keys = UserKeys {
            tenant: TenantId::default(),
            id: UserId::parse("42").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
            changed_at: Timestamp::from_micros(6),
        };
        let factor = |kind: &str| EnrolledFactor {
            credential: CredentialId(uuid::Uuid::max()),
            kind: FactorKind(kind.into()),
            since: TokenVersion::new(u32::MAX),
        };
        let user = User {
            tenant: keys.tenant,
            id: keys.id,
            email: keys.email.clone(),
            username: Username::parse("ada").ok(),
            email_verified_at: Some(Timestamp::from_micros(-1)),
            claim: Claim::SignUp { from: "2001:db8::1".parse().ok() },
            status: UserStatus::Deactivated { since: Timestamp::from_micros(i64::MIN) },
            password_hash: Some(PasswordHash::new("$argon2id$ü\u{0}\"")),
            token_version: TokenVersion::new(u32::MAX),
            factors: vec![factor("totp"), factor("passkey")],
            consecutive_failures: u32::MAX,
            recoveries: Recoveries::default().with(
                TokenVersion::new(u32::MAX),
                TokenVersion::new(1),
                Timestamp::from_micros(-7),
                std::time::Duration::MAX,
            ),
            attributes: json!({"v": 9, "revision": [1, -2.5e-9, u64::MAX, null, "\u{0}🦀"]})
                .as_object()
                .unwrap()
                .clone(),
            created_at: Timestamp::from_micros(i64::MIN),
            last_login_at: Some(Timestamp::from_micros(i64::MAX)),
            changed_at: keys.changed_at,
            revision: u64::MAX,
        };
        (keys, user)
    }

    #[test]
    fn an_account_survives_as_text() {
        let (keys, full) = user();
        let bare = User {
            username: None,
            email_verified_at: None,
            claim: Claim::Settled,
            status: UserStatus::Disabled,
            password_hash: None,
            factors: Vec::new(),
            recoveries: Recoveries::default(),
            attributes: Attributes::new(),
            last_login_at: None,
            ..full.clone()
        };
        for user in [full, bare] {
            let text = user.to_opaque();
            let read = User::from_opaque(keys.clone(), &text);
            assert_eq!(read.as_ref().map(User::to_opaque), Ok(text));
            assert_eq!(read, Ok(user));
        }
    }

    #[test]
    fn the_spelling_of_the_address_survives() {
        let (keys, user) = user();
        let email = Email::parse("Zoë.Straße@Example.org").unwrap();
        let text = User { email: email.clone(), ..user }.to_opaque();
        let keyed = UserKeys { email: Email::stored(email.as_str(), None).unwrap(), ..keys };
        let read = User::from_opaque(keyed, &text).map(|user| user.email.spelling().to_owned());
        assert_eq!(read, Ok("Zoë.Straße@example.org".to_owned()));
    }

    #[test]
    fn an_account_of_the_first_version_is_read() {
        let (keys, user) = user();
        let user = User { status: UserStatus::Disabled, claim: Claim::Unknown, ..user };
        let mut text: Value = serde_json::from_str(&user.to_opaque()).unwrap();
        let parts = text.as_object_mut().unwrap();
        for added in ["claim", "signed_up_from", "deactivated_at", "email_spelling"] {
            parts.remove(added);
        }
        parts.insert("v".into(), json!(1));
        assert_eq!(User::from_opaque(keys, &text.to_string()), Ok(user));
    }

    #[test]
    fn what_another_hand_wrote_is_refused() {
        let (keys, user) = user();
        let good: Value = serde_json::from_str(&user.to_opaque()).unwrap();
        for name in good.as_object().unwrap().keys() {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(User::from_opaque(keys.clone(), &without.to_string()).is_err(), "{name}");
        }
        for (name, value) in [
            ("v", json!(0)),
            ("v", json!(3)),
            ("email_spelling", json!(7)),
            ("v", json!("1")),
            ("claim", json!("mine")),
            ("signed_up_from", json!("here")),
            ("deactivated_at", json!(null)),
            ("username", json!("ADA")),
            ("status", json!("unknown")),
            ("token_version", json!(0x8000_0000_u32)),
            ("consecutive_failures", json!(-1)),
            ("factors", json!({})),
            ("factors", json!([{"kind": "totp"}])),
            ("recoveries", json!([[1, 2]])),
            ("attributes", json!([])),
            ("revision", json!(0.5)),
            ("of_a_newer_build", json!(null)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(User::from_opaque(keys.clone(), &bad.to_string()).is_err(), "{name}");
        }
        for bad in ["", "null", "[]", "{}"] {
            assert!(User::from_opaque(keys.clone(), bad).is_err(), "{bad}");
        }
    }
}
