//! Claims as serde_json reads them.

use std::fmt;

use auth_core::token::AccessClaims;
use auth_core::types::{AuthMethods, Channel, Scope, SessionId, TenantId, Timestamp, TokenVersion, UserId};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use crate::{AUDIENCE, ISSUER, NOW};

/// The members of a JSON object in order, those that come twice included. `None` for what serde_json alone refuses: a
/// number that no double can hold.
pub fn members(json: &[u8]) -> Option<Vec<(String, Value)>> {
    serde_json::from_slice(json).ok().map(|Members(members)| members)
}

struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

fn only<'a>(members: &'a [(String, Value)], name: &str) -> &'a Value {
    let mut found = members.iter().filter(|(other, _)| other == name);
    let (first, second) = (found.next(), found.next());
    assert!(second.is_none(), "{name} comes twice");
    &first.unwrap_or_else(|| panic!("{name} is missing")).1
}

/// The text of the one member of a name.
pub fn text<'a>(members: &'a [(String, Value)], name: &str) -> &'a str {
    only(members, name).as_str().unwrap_or_else(|| panic!("{name} is no text"))
}

/// The integer of the one member of a name.
pub fn number(members: &[(String, Value)], name: &str) -> i64 {
    only(members, name).as_i64().unwrap_or_else(|| panic!("{name} is no integer"))
}

/// What was read of an access token at [`NOW`] must be what another reader finds there.
pub fn check_access_claims(claims: &AccessClaims, members: &[(String, Value)]) {
    let (issued_at, expires_at) = (number(members, "iat"), number(members, "exp"));
    assert!(issued_at <= NOW + 5 && NOW < expires_at && expires_at - issued_at <= 15 * 60, "out of time");
    let [issuer, audience, token_type] = ["iss", "aud", "token_type"].map(|name| text(members, name));
    assert_eq!((issuer, audience, token_type), (ISSUER, AUDIENCE, "access"));
    let _ = text(members, "jti");
    let methods = only(members, "amr").as_array().expect("amr is an array").iter();
    let methods = methods.map(|name| AuthMethods::from_name(name.as_str().expect("amr holds texts")));
    let version = number(members, "token_version");
    assert!((0..1 << 31).contains(&version), "no token version");
    let theirs = AccessClaims {
        tenant: TenantId::parse(text(members, "tid")).expect("tid is an id"),
        user: UserId::parse(text(members, "sub")).expect("sub is an id"),
        session: SessionId(Uuid::try_parse(text(members, "sid")).expect("sid is a UUID")),
        token_version: TokenVersion::new(version as u32),
        channel: Channel::parse(text(members, "channel")).expect("a channel"),
        auth_time: Timestamp::from_seconds(number(members, "auth_time")),
        methods: methods.fold(AuthMethods::default(), AuthMethods::and),
        scope: Scope::parse(text(members, "scope")).expect("a known scope"),
        issued_at: Timestamp::from_seconds(issued_at),
        expires_at: Timestamp::from_seconds(expires_at),
    };
    assert_eq!(*claims, theirs);
}
