//! A bounded queue in which lanes take turns.

use std::collections::{HashMap, VecDeque};

/// Holds items by lane: a lane's items leave in order, and each lane gives one item per turn, so that what one lane
/// piles up delays only itself. Memory is bounded by the capacity: a lane exists only while it holds items.
pub(super) struct FairQueue<T> {
    lanes: HashMap<u128, VecDeque<T>>,
    /// The lanes that hold items, each once, next first.
    turns: VecDeque<u128>,
    len: usize,
    capacity: usize,
}

/// The queue, or the lane's share of it, is full.
pub(super) struct Full;

impl<T> FairQueue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), len: 0, capacity }
    }

    /// Appends to a lane, which may hold half of the capacity (at least 1). What is refused is dropped.
    pub(super) fn push(&mut self, lane: u128, item: T) -> Result<(), Full> {
        let held = self.lanes.get(&lane).map_or(0, VecDeque::len);
        if self.len >= self.capacity || held >= (self.capacity / 2).max(1) {
            return Err(Full);
        }
        if held == 0 {
            self.turns.push_back(lane);
        }
        self.lanes.entry(lane).or_default().push_back(item);
        self.len += 1;
        Ok(())
    }

    /// The oldest item of the lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let lane = self.turns.pop_front()?;
        let items = self.lanes.get_mut(&lane)?;
        let item = items.pop_front()?;
        self.len -= 1;
        if items.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        Some(item)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut queue = FairQueue::new(20);
        for item in [10, 11, 12, 13] {
            assert!(queue.push(1, item).is_ok());
        }
        for (lane, item) in [(2, 20), (3, 30), (2, 21)] {
            assert!(queue.push(lane, item).is_ok());
        }
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue), [10, 20, 30, 11, 21, 12, 13]);
        assert_eq!((queue.len(), queue.lanes.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn a_lane_holds_half_and_all_lanes_the_whole() {
        let mut queue = FairQueue::new(5);
        let accepted: Vec<bool> = [1, 1, 1, 2, 2, 2, 3, 4].iter().map(|lane| queue.push(*lane, 0).is_ok()).collect();
        assert_eq!(accepted, [true, true, false, true, true, false, true, false]);
        assert_eq!(drain(&mut queue).len(), 5);
        assert!(queue.push(1, 0).is_ok(), "room again");
        let mut smallest = FairQueue::new(1);
        assert!(smallest.push(1, 0).is_ok());
        assert!(smallest.push(2, 0).is_err());
    }
}
