//! What a hash costs.

use auth_core::policy::InvalidSetting;

/// The cost of an Argon2id hash, at least OWASP's minimum: any other value cannot be made, save by
/// [`insecure_for_tests`](Self::insecure_for_tests).
///
/// Salts have 16 bytes and tags 32, as RFC 9106 section 4 recommends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

/// Memory in KiB and the iterations it needs at least: equally strong by OWASP's Password Storage Cheat Sheet.
const MINIMA: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
const MAX_MEMORY_KIB: u32 = 4 << 20;
/// The most iterations that are ever run.
pub(super) const MAX_ITERATIONS: u32 = 100;
const MAX_PARALLELISM: u32 = 16;

impl Default for Argon2Params {
    /// 19,456 KiB, 2 iterations, parallelism 1.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl Argon2Params {
    /// Memory in KiB, up to 4 GiB; iterations, up to 100; parallelism, 1 to 16.
    ///
    /// Less memory needs more iterations: at least 1 from 47,104 KiB, 2 from 19,456, 3 from 12,288, 4 from 9,216 and 5
    /// from 7,168. Parallelism is part of the hash, but its lanes are computed one after the other: it is worth
    /// changing only to match another system's hashes.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first value that is too weak or out of range.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, InvalidSetting> {
        if memory_kib > MAX_MEMORY_KIB {
            let problem = format!("{memory_kib} KiB is more than {MAX_MEMORY_KIB}");
            return Err(InvalidSetting::new("hash.memory_kib", problem));
        }
        let Some((_, needed)) = MINIMA.into_iter().find(|(memory, _)| memory_kib >= *memory) else {
            let problem = format!("{memory_kib} KiB is weak whatever the iterations: give at least 7168, better 19456");
            return Err(InvalidSetting::new("hash.memory_kib", problem));
        };
        if !(needed..=MAX_ITERATIONS).contains(&iterations) {
            let problem = format!("{iterations} is not between {needed} and {MAX_ITERATIONS} at {memory_kib} KiB");
            return Err(InvalidSetting::new("hash.iterations", problem));
        }
        if !(1..=MAX_PARALLELISM).contains(&parallelism) {
            let problem = format!("{parallelism} is not between 1 and {MAX_PARALLELISM}");
            return Err(InvalidSetting::new("hash.parallelism", problem));
        }
        Ok(Self { memory_kib, iterations, parallelism })
    }

    /// The least that Argon2 can do (8 KiB, 1 iteration): next to no protection, for tests that hash a lot.
    pub const fn insecure_for_tests() -> Self {
        Self { memory_kib: 8, iterations: 1, parallelism: 1 }
    }

    /// Memory of one hash, in KiB.
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over that memory.
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Lanes that the memory is divided into.
    pub const fn parallelism(&self) -> u32 {
        self.parallelism
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owasps_equivalents_pass_and_one_less_of_anything_does_not() {
        for (memory, iterations) in MINIMA {
            assert!(Argon2Params::new(memory, iterations, 1).is_ok());
            assert!(Argon2Params::new(memory - 1, iterations, 1).is_err());
            assert!(Argon2Params::new(memory, iterations - 1, 1).is_err());
        }
        let default = Argon2Params::default();
        assert_eq!(
            Argon2Params::new(default.memory_kib(), default.iterations(), default.parallelism()),
            Ok(Argon2Params::default())
        );
    }

    #[test]
    fn the_setting_at_fault_is_named() {
        let cases = [
            ((7_167, 100, 1), "hash.memory_kib"),
            ((MAX_MEMORY_KIB + 1, 1, 1), "hash.memory_kib"),
            ((19_456, 1, 1), "hash.iterations"),
            ((19_456, 101, 1), "hash.iterations"),
            ((19_456, 2, 0), "hash.parallelism"),
            ((19_456, 2, 17), "hash.parallelism"),
        ];
        for ((memory, iterations, parallelism), setting) in cases {
            let refused = Argon2Params::new(memory, iterations, parallelism).map_err(|error| error.setting);
            assert_eq!(refused, Err(setting), "{memory} {iterations} {parallelism}");
        }
        assert!(Argon2Params::new(MAX_MEMORY_KIB, 100, 16).is_ok());
    }
}
