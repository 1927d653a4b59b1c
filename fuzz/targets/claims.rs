//! Payloads of JWTs, without signatures, beside what serde_json says of them.

#![no_main]

use auth_core::types::Timestamp;
use auth_fuzz::{NOW, check_access_claims, members, number, text, tokens};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let now = Timestamp::from_seconds(NOW);
    let access = tokens().read_access_payload(data, now);
    let refresh = tokens().read_refresh_payload(data, now);
    assert!(access.is_err() || refresh.is_err(), "of two kinds at once");
    let Some(members) = members(data) else { return };
    if let Ok(claims) = access {
        check_access_claims(&claims, &members);
    }
    if let Ok(claims) = refresh {
        assert_eq!(text(&members, "token_type"), "refresh");
        assert_eq!(text(&members, "tid"), claims.tenant.as_str());
        assert_eq!(text(&members, "sub"), claims.user.as_str());
        assert_eq!(Uuid::try_parse(text(&members, "sid")), Ok(claims.session.0));
        assert_eq!(number(&members, "token_version"), i64::from(claims.token_version.get()));
        assert_eq!(number(&members, "generation"), i64::from(claims.generation));
        assert!(NOW < number(&members, "exp"));
    }
});
