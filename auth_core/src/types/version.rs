//! Counters of a row: of its writes, and of the security changes of an account.

/// Counts the writes of a row; `update_if` swaps only while it still has the value that was read.
pub type Revision = u64;

/// Counts the security changes of an account, within 31 bits. Tokens of another version are dead.
///
/// It starts at random, so that a user id that is used again never revives old tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenVersion(u32);

impl TokenVersion {
    const MASK: u32 = 0x7fff_ffff;

    /// A version from any bits; the topmost is dropped.
    pub const fn new(bits: u32) -> Self {
        Self(bits & Self::MASK)
    }

    /// The number, below 2^31.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version of a number that a store kept; `None` past 31 bits.
    pub(crate) fn read(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Self::new).filter(|version| u64::from(version.0) == number)
    }

    /// How many security changes lie between, seen from the earlier one; versions start over after the last.
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0) & Self::MASK
    }

    /// The version after a security change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0.wrapping_add(1))
    }
}
