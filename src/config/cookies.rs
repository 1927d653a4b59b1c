//! The settings of cookies: names, paths and attributes.

use auth_core::policy::InvalidSetting;

use super::Profile;

/// `SameSite` of the cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Only on requests from the same site.
    Strict,
    /// Also when a link from elsewhere is followed.
    Lax,
    /// Always; needs `secure`.
    None,
}

impl SameSite {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The cookies.
///
/// The default names in the profile `standard` are `__Host-access_token`, `__Host-refresh_token` and
/// `__Host-known_device`. Without [`secure`](Self::secure), and in the profile `django`, they have no prefix.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    /// Name of the access cookie, used as given. Default `None`: see above.
    pub access_name: Option<String>,
    /// Name of the refresh cookie, used as given. Default `None`: see above.
    pub refresh_name: Option<String>,
    /// Name of the cookie that marks a known device, used as given. Default `None`: see above.
    pub device_name: Option<String>,
    /// `Secure`. Default true.
    pub secure: bool,
    /// `HttpOnly`. Default true; without it any script on the page can steal the session.
    pub http_only: bool,
    /// `SameSite`. Default `Lax`.
    pub same_site: SameSite,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            access_name: None,
            refresh_name: None,
            device_name: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
        }
    }
}

/// A cookie of ours: its name, and the path that browsers send it to.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: String,
}

/// The names and paths of all cookies.
pub(crate) struct Names {
    pub(crate) access: Named,
    pub(crate) refresh: Named,
    pub(crate) device: Named,
}

impl CookieConfig {
    /// Gives each cookie without a configured name its default one.
    ///
    /// The profile `standard` takes the prefix `__Host-` where `Secure` allows it. Browsers then refuse the name from
    /// every other host, siblings of the domain included. The prefix needs the path `/`.
    pub(crate) fn names(&self, profile: Profile, public_path: &str) -> Names {
        let (prefix, path) = match profile {
            Profile::Standard if self.secure => ("__Host-", "/"),
            Profile::Standard => ("", "/"),
            Profile::Django => ("", public_path),
        };
        let named = |configured: &Option<String>, default: &str, path: &str| Named {
            name: configured.clone().unwrap_or_else(|| format!("{prefix}{default}")),
            path: path.to_owned(),
        };
        Names {
            access: named(&self.access_name, "access_token", "/"),
            refresh: named(&self.refresh_name, "refresh_token", path),
            device: named(&self.device_name, "known_device", path),
        }
    }

    pub(super) fn check(&self, profile: Profile, public_path: &str) -> Result<(), InvalidSetting> {
        let Names { access, refresh, device } = self.names(profile, public_path);
        let settings = ["cookies.access_name", "cookies.refresh_name", "cookies.device_name"];
        for (setting, cookie) in settings.into_iter().zip([&access, &refresh, &device]) {
            self.check_name(&cookie.name, &cookie.path).map_err(|problem| InvalidSetting::new(setting, problem))?;
        }
        if access.name == refresh.name {
            return Err(InvalidSetting::new("cookies.refresh_name", "must differ from `cookies.access_name`"));
        }
        if [access.name, refresh.name].contains(&device.name) {
            return Err(InvalidSetting::new("cookies.device_name", "must differ from the other cookies' names"));
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(InvalidSetting::new("cookies.same_site", "browsers take `None` only with `cookies.secure`"));
        }
        Ok(())
    }

    /// Refuses a name that no browser takes, or whose prefix promises attributes that the cookie lacks.
    fn check_name(&self, name: &str, path: &str) -> Result<(), &'static str> {
        // RFC 6265 section 4.1.1: a token of RFC 9110.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            return Err("must be 1 to 64 letters, digits, dashes or underscores");
        }
        // RFC 6265bis section 4.1.3. Browsers compare without regard to case.
        let name = name.to_ascii_lowercase();
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if begins(&["__secure-", "__host-", "__http-"]) && !self.secure {
            return Err("this prefix needs `cookies.secure`");
        }
        if begins(&["__http-", "__host-http-"]) && !self.http_only {
            return Err("this prefix needs `cookies.http_only`");
        }
        if begins(&["__host-"]) && path != "/" {
            return Err("browsers take `__Host-` only with the path `/`, and this cookie's path is narrower");
        }
        Ok(())
    }
}
