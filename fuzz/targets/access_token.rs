//! Access tokens: none is accepted but, byte for byte, one that was issued under a key of ours, for us, in its time.

#![no_main]

use auth_core::token::TokenError;
use auth_fuzz::{Issued, Kind, forge, instants, issued, tokens};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let genuine = issued();
    let Some(text) = forge(data, genuine.iter().map(|issued| issued.token.as_str()), '.') else {
        return Corpus::Reject;
    };
    let copied = genuine.iter().find(|issued| issued.token == text);
    for now in instants() {
        let expected = match copied {
            Some(Issued { kind: Kind::Refresh, known_key: true, .. }) => Err(TokenError::WrongType),
            Some(issued @ Issued { kind: Kind::Access, known_key: true, for_us: true, .. }) => issued.in_time(now),
            _ => Err(TokenError::Invalid),
        };
        assert_eq!(tokens().verify_access(&text, now).map(|claims| claims.session), expected, "{text} at {now:?}");
    }
    Corpus::Keep
});
