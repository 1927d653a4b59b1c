//! What the targets share: tokens, genuine and forged; claims as another reader sees them; an account system to send
//! requests to.
//!
//! Everything is the same in every run, so an input that fails once fails always.

mod claims;
mod tokens;
mod world;

use auth_core::policy::Policy;
use auth_core::port::NewUser;
use auth_core::types::{
    Attributes, AuthMethods, Channel, Claim, Email, MethodTimes, PasswordHash, Scope, Session, SessionId, TenantId,
    Timestamp, TokenVersion, User, UserId, Username,
};
use serde_json::json;
use uuid::Uuid;

pub use claims::{check_access_claims, members, number, text};
pub use tokens::{Issued, Kind, forge, instants, issued, key, mac, secret, sign_access, tokens, tokens_of};
pub use world::{World, fill, word};

/// 2100-01-01: what is in time then is so by the machine's clock, too, which `jsonwebtoken` asks.
pub const NOW: i64 = 4_102_444_800;
/// The `iss` of tokens.
pub const ISSUER: &str = "auth-system";
/// The `aud` of tokens.
pub const AUDIENCE: &str = "auth-system";
/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";
/// A new account of this name at example.org.
pub fn new_account(name: &str, verified: bool) -> NewUser {
    let now = Timestamp::from_seconds(NOW);
    NewUser {
        tenant: TenantId::default(),
        id: UserId::parse(name).expect("an id"),
        email: Email::parse(&format!("{name}@example.org")).expect("an address"),
        username: Some(Username::parse(name).expect("a username")),
        email_verified_at: verified.then_some(now),
        claim: Claim::SignUp { from: None },
        password_hash: Some(PasswordHash::new(format!("$plain${PASSWORD}"))),
        token_version: TokenVersion::new(7),
        attributes: Attributes::default(),
        created_at: now,
    }
}

/// The account that comes of it.
pub fn account(name: &str, verified: bool) -> User {
    new_account(name, verified).into_user(Timestamp::from_seconds(NOW))
}

/// A session of an account, just begun.
pub fn session(user: &User, number: u128) -> Session {
    let now = Timestamp::from_seconds(NOW);
    let policy = Policy::default();
    Session {
        id: SessionId(Uuid::from_u128(number)),
        tenant: user.tenant,
        user: user.id,
        token_version: user.token_version,
        generation: 0,
        rotated_at: now,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now + policy.idle_lifetime,
        expires_at: now + policy.session_lifetime,
        auth_time: now,
        methods: AuthMethods::PASSWORD,
        method_times: MethodTimes::of(MethodTimes::PASSWORD, now),
        scope: Scope::Full,
        channel: Channel::Cookie,
        address: None,
        agent: None,
        device_name: None,
        context: json!({}),
        slot: None,
        presented: None,
        revoked_at: None,
        changed_at: now,
    }
}
