//! Device tokens: they remember that somebody logged in from here before. Such a device has a budget of its own, so a
//! stranger who guesses cannot lock an account's owner out of it. They open nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq_32;

use super::Tokens;
use super::ring::{TokenKey, mac};
use crate::types::{TenantId, Token};

/// Names a device to its budget: random, the same for as long as the device keeps its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId(pub [u8; 16]);

impl Tokens {
    /// A device's token for one login identifier in its canonical form.
    pub fn device(&self, tenant: &TenantId, identifier: &str, device: DeviceId) -> Token {
        let mac = device_mac(self.ring.signing(), tenant, identifier, device);
        Token::new(format!("{}.{}", URL_SAFE_NO_PAD.encode(device.0), URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The device that a token names, if the token is ours and for this very identifier.
    pub fn verify_device(&self, tenant: &TenantId, identifier: &str, token: &str) -> Option<DeviceId> {
        let (id, mac) = token.split_once('.')?;
        let (mut device, mut claimed) = (DeviceId([0; 16]), [0; 32]);
        let sizes = (id.len(), mac.len()) == (22, 43);
        let decoded = sizes
            && URL_SAFE_NO_PAD.decode_slice(id, &mut device.0) == Ok(16)
            && URL_SAFE_NO_PAD.decode_slice(mac, &mut claimed) == Ok(32);
        let genuine = |key: &TokenKey| constant_time_eq_32(&device_mac(key, tenant, identifier, device), &claimed);
        (decoded && self.ring.accepted().any(genuine)).then_some(device)
    }
}

fn device_mac(key: &TokenKey, tenant: &TenantId, identifier: &str, device: DeviceId) -> [u8; 32] {
    let tenant_length = (tenant.as_str().len() as u64).to_be_bytes();
    mac(&key.device, &[&tenant_length, tenant.as_str().as_bytes(), &device.0, identifier.as_bytes()])
}
