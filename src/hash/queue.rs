//! A bounded queue in which lanes take turns.

use std::collections::{HashMap, VecDeque};

/// Holds items by lane: a lane's items leave in order, and each lane gives one item per turn, so that what one lane
/// piles up delays only itself. A place is reserved before it is filled. Memory is bounded by the capacity: a lane exists
/// only while it has places.
pub(super) struct FairQueue<T> {
    lanes: HashMap<u128, Lane<T>>,
    /// The lanes that hold items, each once, next first.
    turns: VecDeque<u128>,
    /// Places that are reserved or filled.
    len: usize,
    capacity: usize,
}

struct Lane<T> {
    items: VecDeque<T>,
    reserved: usize,
}

/// The queue, or the lane's share of it, is full.
pub(super) struct Full;

impl<T> FairQueue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), len: 0, capacity }
    }

    /// Reserves a place in a lane, which may have half of the capacity (at least 1).
    pub(super) fn reserve(&mut self, lane: u128) -> Result<(), Full> {
        let held = self.lanes.get(&lane).map_or(0, |lane| lane.items.len() + lane.reserved);
        if self.len >= self.capacity || held >= (self.capacity / 2).max(1) {
            return Err(Full);
        }
        self.lanes.entry(lane).or_insert_with(|| Lane { items: VecDeque::new(), reserved: 0 }).reserved += 1;
        self.len += 1;
        Ok(())
    }

    /// Gives a reserved place back.
    pub(super) fn release(&mut self, lane: u128) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.reserved -= 1;
            self.len -= 1;
            self.forget_if_empty(lane);
        }
    }

    /// Fills a reserved place.
    pub(super) fn fill(&mut self, lane: u128, item: T) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.reserved -= 1;
            found.items.push_back(item);
            if found.items.len() == 1 {
                self.turns.push_back(lane);
            }
        }
    }

    /// The oldest item that fits, of the first lane that has one. Lanes that are passed over keep their turn.
    pub(super) fn pop(&mut self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let oldest = |lane: &u128| self.lanes.get(lane)?.items.iter().position(&fits);
        let (turn, place) = self.turns.iter().enumerate().find_map(|(turn, lane)| Some((turn, oldest(lane)?)))?;
        let lane = self.turns.remove(turn)?;
        let found = self.lanes.get_mut(&lane)?;
        let item = found.items.remove(place)?;
        self.len -= 1;
        if !found.items.is_empty() {
            self.turns.push_back(lane);
        }
        self.forget_if_empty(lane);
        Some(item)
    }

    fn forget_if_empty(&mut self, lane: u128) {
        if self.lanes.get(&lane).is_some_and(|lane| lane.items.is_empty() && lane.reserved == 0) {
            self.lanes.remove(&lane);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut FairQueue<u32>, lane: u128, item: u32) -> bool {
        let reserved = queue.reserve(lane).is_ok();
        if reserved {
            queue.fill(lane, item);
        }
        reserved
    }

    fn drain(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(|_| true)).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut queue = FairQueue::new(20);
        for item in [10, 11, 12, 13] {
            assert!(push(&mut queue, 1, item));
        }
        for (lane, item) in [(2, 20), (3, 30), (2, 21)] {
            assert!(push(&mut queue, lane, item));
        }
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue), [10, 20, 30, 11, 21, 12, 13]);
        assert_eq!((queue.len(), queue.lanes.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn what_does_not_fit_is_passed_over_and_keeps_its_turn() {
        let mut queue = FairQueue::new(20);
        for (lane, item) in [(1, 10), (1, 11), (2, 20), (3, 31)] {
            assert!(push(&mut queue, lane, item));
        }
        let odd = |item: &u32| item % 2 == 1;
        assert_eq!(queue.pop(odd), Some(11));
        assert_eq!(queue.pop(odd), Some(31));
        assert_eq!(queue.pop(odd), None);
        assert_eq!(queue.len(), 2);
        assert_eq!(drain(&mut queue), [20, 10], "the lane that was served comes last");
    }

    #[test]
    fn a_lane_holds_half_and_all_lanes_the_whole() {
        let mut queue = FairQueue::new(5);
        let accepted: Vec<bool> = [1, 1, 1, 2, 2, 2, 3, 4].iter().map(|lane| push(&mut queue, *lane, 0)).collect();
        assert_eq!(accepted, [true, true, false, true, true, false, true, false]);
        assert_eq!(drain(&mut queue).len(), 5);
        assert!(push(&mut queue, 1, 0), "room again");
        let mut smallest = FairQueue::new(1);
        assert!(push(&mut smallest, 1, 0));
        assert!(!push(&mut smallest, 2, 0));
    }

    #[test]
    fn a_reserved_place_counts_and_can_be_given_back() {
        let mut queue = FairQueue::<u32>::new(2);
        assert!(queue.reserve(1).is_ok() && queue.reserve(2).is_ok());
        assert!(queue.reserve(3).is_err());
        queue.release(2);
        assert_eq!((queue.len(), queue.lanes.len()), (1, 1));
        assert!(queue.reserve(3).is_ok());
        queue.fill(3, 30);
        assert_eq!(drain(&mut queue), [30]);
        queue.release(1);
        assert_eq!((queue.len(), queue.lanes.len(), queue.turns.len()), (0, 0, 0));
    }
}
