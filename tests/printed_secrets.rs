//! No secret that this repository prints passes for one: a reader who copies it out of a document, an example or a test is
//! refused at start.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use std::fs;
use std::path::{Path, PathBuf};

use auth_system::auth_core::token::RootSecret;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every text file that is in the repository.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Built or of the version control; the lock file has checksums of crates alone.
        if ["target", ".git", "corpus", "artifacts", "Cargo.lock"].contains(&name)
            || name.ends_with(".proptest-regressions")
        {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The longest runs of characters that satisfy `part`.
fn runs(text: &str, part: fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !part(c)).filter(|run| run.len() >= 43)
}

#[test]
fn what_this_repository_prints_is_no_secret() {
    let mut found = Vec::new();
    files(Path::new(ROOT), &mut found);
    let (mut hex, mut base64, mut taken) = (0, 0, Vec::new());
    for path in found {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for run in runs(&text, |c| c.is_ascii_alphanumeric()) {
            let is_hex = run.len() >= 64 && run.len() % 2 == 0 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex += u32::from(is_hex);
            if is_hex && RootSecret::parse(run).is_ok() {
                taken.push(format!("{}: {run}", path.display()));
            }
        }
        // Tests print tokens, tags and digests by the hundred.
        let relative = path.strip_prefix(ROOT).unwrap();
        if ["README.md", "src", "auth_core/src", "examples", "benches"].iter().any(|place| relative.starts_with(place))
        {
            for run in runs(&text, |c| c.is_ascii_alphanumeric() || "+/=".contains(c)) {
                let mixed = [char::is_lowercase, char::is_uppercase, char::is_numeric as fn(char) -> bool];
                let encoded = mixed.iter().all(|kind| run.contains(*kind)) && !run.contains("//");
                base64 += u32::from(encoded);
                if encoded && RootSecret::parse(run).is_ok() {
                    taken.push(format!("{}: {run}", path.display()));
                }
            }
        }
    }
    assert!(hex >= 5 && base64 >= 1, "the search finds nothing: {hex} and {base64}");
    assert!(taken.is_empty(), "put these on the list in auth_core/src/token/weak_secret.rs: {taken:#?}");
}
