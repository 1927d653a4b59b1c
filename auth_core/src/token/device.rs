//! Device tokens: an account knows by them that its owner logged in, or set the password, from a device before. Such a
//! device has budgets of its own, so strangers who guess cannot lock the owner out of it. They open nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq_32;

use super::ring::TokenKey;
use super::secret::mac;
use super::{MAX_SKEW, Tokens};
use crate::types::{PasswordHash, Timestamp, Token, User};

/// Names a device to its budget: random, the same for as long as the device keeps its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId(pub [u8; 16]);

impl Tokens {
    /// Issues a token by which this account knows a device. A write that sets, changes or clears the password of the
    /// account revokes it.
    pub fn device(&self, user: &User, device: DeviceId, issued_at: Timestamp) -> Token {
        let seconds = issued_at.seconds().max(0);
        let mac = device_mac(self.ring.signing(), &subject(Some(user)), device, seconds);
        Token::new(format!("{}.{seconds:x}.{}", URL_SAFE_NO_PAD.encode(device.0), URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The device that a token names, if the token was issued for this account under its present password, and within
    /// the last `lifetime`.
    ///
    /// Without an account the work is the same and there is no device.
    pub fn verify_device(
        &self,
        user: Option<&User>,
        token: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Option<DeviceId> {
        let (device, seconds, claimed) = parse(token)?;
        let subject = subject(user);
        let mut genuine = false;
        for key in self.ring.accepted() {
            genuine |= constant_time_eq_32(&device_mac(key, &subject, device, seconds), &claimed);
        }
        let issued_at = Timestamp::from_seconds(seconds);
        let in_time = issued_at <= now + MAX_SKEW && now < issued_at + lifetime;
        (genuine && user.is_some() && in_time).then_some(device)
    }

    /// Whether a text has the form of a device token. Says nothing of its account.
    pub(crate) fn is_device(token: &str) -> bool {
        parse(token).is_some()
    }
}

/// Tenant, user and password hash: what a token is bound to.
fn subject(user: Option<&User>) -> [&[u8]; 3] {
    user.map_or([b""; 3], |user| {
        let hash = user.password_hash.as_ref().map_or("", PasswordHash::expose);
        [user.tenant.as_str().as_bytes(), user.id.as_str().as_bytes(), hash.as_bytes()]
    })
}

fn device_mac(key: &TokenKey, subject: &[&[u8]; 3], device: DeviceId, seconds: i64) -> [u8; 32] {
    let lengths = subject.map(|part| (part.len() as u64).to_be_bytes());
    let [tenant, user, hash] = *subject;
    let parts = [&lengths[0], tenant, &lengths[1], user, &device.0, &seconds.to_be_bytes(), &lengths[2], hash];
    mac(&key.device, &parts)
}

/// Only the one spelling that [`Tokens::device`] writes.
fn parse(token: &str) -> Option<(DeviceId, i64, [u8; 32])> {
    let (id, rest) = token.split_once('.')?;
    let (issued, mac) = rest.split_once('.')?;
    let (mut device, mut bytes) = (DeviceId([0; 16]), [0; 32]);
    // Longer texts are refused unread.
    let sized = (id.len(), mac.len()) == (22, 43) && issued.len() <= 16;
    let seconds = i64::from_str_radix(issued, 16).ok().filter(|seconds| sized && format!("{seconds:x}") == issued)?;
    let decoded = URL_SAFE_NO_PAD.decode_slice(id, &mut device.0) == Ok(16)
        && URL_SAFE_NO_PAD.decode_slice(mac, &mut bytes) == Ok(32);
    decoded.then_some((device, seconds, bytes))
}
