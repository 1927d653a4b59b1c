//! Files of `tests/golden`: what a program printed before, to be compared with what it prints now.

/// Compares a text with a golden file, or writes that file where `UPDATE_GOLDEN` is set.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let line = golden.lines().zip(text.lines()).position(|(old, new)| old != new);
    assert!(
        golden == text,
        "{path} differs from line {:?} on. If that is meant, run this test again with UPDATE_GOLDEN=1 and look at the \
         difference.",
        line.map(|line| line + 1),
    );
}
