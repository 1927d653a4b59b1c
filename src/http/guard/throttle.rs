//! Limits by address: how often one client may call an endpoint, whatever it sends.

use auth_core::error::Error;
use auth_core::policy::{InvalidSetting, check_limit};
use auth_core::port::AttemptKey;
use auth_core::types::{Client, Limit};

use crate::config::Throttles;
use crate::http::site::Site;

/// The limit by address of an endpoint. Endpoints with one name share a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttle {
    /// The name on the wire, in keys and in [`Throttles`].
    pub(crate) name: &'static str,
    /// The limit unless [`Throttles`] has another one.
    pub(crate) default: Limit,
}

impl Throttle {
    /// So many calls a minute, unless the settings say otherwise.
    pub(crate) const fn per_minute(name: &'static str, count: u32) -> Self {
        Self { name, default: Limit { count, window: std::time::Duration::from_secs(60) } }
    }

    fn limit(self, throttles: &Throttles) -> Option<Limit> {
        throttles.get(self.name).unwrap_or(Some(self.default))
    }

    /// Refuses a limit outside its ranges.
    pub(crate) fn check(self, throttles: &Throttles) -> Result<(), InvalidSetting> {
        let limit = self.limit(throttles).map_or(Ok(()), |limit| check_limit("throttles", limit));
        limit.map_err(|error| InvalidSetting::new("throttles", format!("`{}`: {}", self.name, error.problem)))
    }

    /// Counts a request of this client and refuses it past the limit.
    ///
    /// Clients whose address is not known share one count: better a tight limit than none.
    pub(crate) async fn count(self, site: &Site, client: &Client) -> Result<(), Error> {
        let Some(limit) = self.limit(&site.settings.throttles) else { return Ok(()) };
        let system = &site.system;
        if !system.policy().timed_limits {
            return Ok(());
        }
        if client.address.is_none() {
            let hint = "serve the app with `into_make_service_with_connect_info::<SocketAddr>()`";
            tracing::warn!(target: "auth", hint, "no client address: all clients share one limit");
        }
        let key = AttemptKey::new("address", &[self.name.as_bytes(), &client.lane().to_be_bytes()]);
        let hit = system.ports().attempts.hit(&key, limit).await?;
        if hit.allowed { Ok(()) } else { Err(Error::throttled(self.name, limit, hit)) }
    }
}
