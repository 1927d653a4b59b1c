use std::time::Duration;

/// So many attempts in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many: 1 to 1,000,000.
    pub count: u32,
    /// In how much time: 1 s to 1 d.
    pub window: Duration,
}

impl Limit {
    /// `count` attempts in `window`.
    pub const fn new(count: u32, window: Duration) -> Self {
        Self { count, window }
    }

    /// The time in which a bucket of this limit gains one: the window divided by the count.
    pub fn interval(&self) -> Duration {
        self.window / self.count.max(1)
    }

    /// Whether both numbers are in their ranges.
    pub fn is_valid(&self) -> bool {
        (1..=1_000_000).contains(&self.count)
            && (Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60)).contains(&self.window)
    }
}
