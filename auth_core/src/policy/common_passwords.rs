//! The offline list of common passwords. Where it is from and how it is written: `data/common_passwords/README.md`.

use std::iter;

const LIST: &[u8] = include_bytes!("../../data/common_passwords/list.bin");

/// Before the first word of a block.
const BLOCK: u8 = 0;
/// Shares nothing with the word before it.
const UNLIKE: u8 = 31;

/// Whether the list holds a password, which is in lower case.
pub(super) fn contains(password: &str) -> bool {
    let password = password.as_bytes();
    words(block_of(password)).any(|word| word == password)
}

/// The rest of the list from the block on that a word is in, if it is in any.
fn block_of(word: &[u8]) -> &'static [u8] {
    // A block begins at `low`, and none that begins at `high` or later holds the word.
    let (mut low, mut high) = (0, LIST.len());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let next = LIST[middle..high].iter().position(|byte| *byte == BLOCK).map(|offset| middle + offset);
        match next {
            Some(start) if entries(&LIST[start..]).next().is_some_and(|(_, first)| first <= word) => low = start,
            _ => high = middle,
        }
    }
    &LIST[low..]
}

/// The words of the first block.
fn words(block: &'static [u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut word = Vec::new();
    entries(block).enumerate().map_while(move |(index, (shared, rest))| {
        if index > 0 && shared == BLOCK {
            return None;
        }
        word.truncate(if shared == UNLIKE { 0 } else { shared.into() });
        word.extend_from_slice(rest);
        Some(word.clone())
    })
}

/// What each word shares with the one before it, and the rest of its bytes.
fn entries(mut list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    iter::from_fn(move || {
        let (shared, rest) = list.split_first()?;
        let end = rest.iter().position(|byte| *byte <= UNLIKE).unwrap_or(rest.len());
        let (word, next) = rest.split_at(end);
        list = next;
        Some((*shared, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        let starts = LIST.iter().enumerate().filter(|(_, byte)| **byte == BLOCK).map(|(at, _)| at);
        starts.flat_map(|at| words(&LIST[at..])).map(|word| String::from_utf8(word).unwrap_or_default()).collect()
    }

    #[test]
    fn every_word_is_found_and_none_besides() {
        let all = all();
        assert!(all.len() >= 10_000, "{}", all.len());
        assert!(all.is_sorted_by(|a, b| a < b));
        for word in &all {
            assert!(contains(word), "{word}");
            assert!(word.chars().count() >= 8 && *word == super::super::password::fold(word).as_str(), "{word}");
            for other in [format!("{word}\u{1f600}"), word.chars().skip(1).collect(), format!("\u{1}{word}")] {
                assert_eq!(contains(&other), all.binary_search(&other).is_ok(), "{other}");
            }
        }
    }

    #[test]
    fn passwords_that_everybody_knows_are_in_it() {
        for word in ["password", "12345678", "qwertyuiop", "iloveyou", "tttttttt", "солнышко", "trustno1", "1qaz2wsx"]
        {
            assert!(contains(word), "{word}");
        }
        for word in ["", "correct horse battery", "\0", "\u{10ffff}", "zzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert!(!contains(word), "{word}");
        }
    }
}
