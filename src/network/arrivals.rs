//! The memory for frames that arrive: a bound that holds whatever clients announce, and under which frames go on arriving.
//!
//! A frame takes room as its bytes come. One frame of a pool at a time, the *front*, has what it will need set aside, so it
//! arrives whole; the others share the rest, and wait where there is none. When the front is whole, or its connection gone,
//! another one is: mostly the smallest that waits, so that few large frames do not hold up many small ones, and every few
//! times the one that has waited longest, so that none waits for ever. Frames up to [`SMALL_MAX`] have a pool of their own:
//! whoever fills the other one does not touch them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A frame up to this size is small. That is a request of a producer with Kafka's default `max.request.size`, and something.
const SMALL_MAX: usize = 2 << 20;
/// Which part of the memory is for small frames.
const SMALL_PART: usize = 5;
/// Every so many times the frame that has waited longest goes to the front, not the smallest.
const OLDEST_EACH: u64 = 4;

/// The room for all frames that arrive.
#[derive(Debug)]
pub(super) struct Arrivals {
    small: Arc<Pool>,
    large: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    /// The greatest frame.
    frame_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    front: Option<Front>,
    /// How many frames have been at the front.
    fronts: u64,
    next_ticket: u64,
    /// By announced size, then by age.
    waiting: BTreeMap<(usize, u64), Waiting>,
}

/// The frame that has all that it will need.
#[derive(Debug)]
struct Front {
    ticket: u64,
    held: usize,
}

#[derive(Debug)]
struct Waiting {
    held: usize,
    more: usize,
    waker: Waker,
}

impl Arrivals {
    /// Room of `memory` bytes for frames up to `frame_max`; more, if one such frame would not fit.
    pub(super) fn new(memory: usize, frame_max: usize) -> Self {
        let small_max = SMALL_MAX.min(frame_max);
        let small = (memory / SMALL_PART).max(2 * small_max);
        let large = memory.saturating_sub(small).max(frame_max);
        Self { small: Pool::new(small, small_max), large: Pool::new(large, frame_max) }
    }

    /// A frame of this size begins to arrive. It holds nothing yet.
    pub(super) fn begin(&self, announced: usize) -> Arrival {
        let pool = if announced <= self.small.frame_max { &self.small } else { &self.large };
        debug_assert!(announced <= pool.frame_max, "larger frames are refused");
        let mut state = pool.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        drop(state);
        Arrival { pool: Arc::clone(pool), ticket, announced, held: 0 }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.small.state().used + self.large.state().used
    }
}

/// A frame that arrives, and what it holds. Dropping it gives everything back.
#[derive(Debug)]
pub(super) struct Arrival {
    pool: Arc<Pool>,
    ticket: u64,
    announced: usize,
    held: usize,
}

impl Arrival {
    /// Whether others wait for room.
    pub(super) fn is_contended(&self) -> bool {
        !self.pool.state().waiting.is_empty()
    }

    /// Holds `target` bytes, which are not more than were announced, as soon as there is room.
    pub(super) fn poll_grow(&mut self, target: usize, cx: &mut Context<'_>) -> Poll<()> {
        let more = target.min(self.announced).saturating_sub(self.held);
        if more == 0 {
            return Poll::Ready(());
        }
        let mut state = self.pool.state();
        if !state.may_hold(self.ticket, more, &self.pool) {
            let waiting = Waiting { held: self.held, more, waker: cx.waker().clone() };
            state.waiting.insert(self.place(), waiting);
            return Poll::Pending;
        }
        state.waiting.remove(&self.place());
        state.used += more;
        self.held += more;
        match &mut state.front {
            Some(front) if front.ticket == self.ticket => front.held = self.held,
            Some(_) => {}
            None => state.front = Some(Front { ticket: self.ticket, held: self.held }),
        }
        assert!(state.used <= self.pool.limit, "what is held stays within the bound");
        Poll::Ready(())
    }

    fn place(&self) -> (usize, u64) {
        (self.announced, self.ticket)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.used -= self.held;
        state.waiting.remove(&self.place());
        if state.front.as_ref().is_some_and(|front| front.ticket == self.ticket) {
            state.front = None;
        }
        let woken = state.take_turns(&self.pool);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Pool {
    fn new(limit: usize, frame_max: usize) -> Arc<Self> {
        assert!(limit >= frame_max, "the greatest frame can arrive");
        Arc::new(Self { limit, frame_max, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this frame may hold so much more. What the front may still need is not given to others.
    fn may_hold(&self, ticket: u64, more: usize, pool: &Pool) -> bool {
        let set_aside = match &self.front {
            Some(front) if front.ticket != ticket => pool.frame_max - front.held,
            // The one that becomes the front can arrive whole: without one, what others hold leaves room for that.
            Some(_) | None => 0,
        };
        self.used + more + set_aside <= pool.limit
    }

    /// Chooses a front if there is none, and lets those go on for whom there is room now, the smallest first.
    fn take_turns(&mut self, pool: &Pool) -> Vec<Waker> {
        let mut woken = Vec::new();
        if self.front.is_none()
            && let Some(place) = self.next_front()
            && let Some(waiting) = self.waiting.remove(&place)
        {
            self.front = Some(Front { ticket: place.1, held: waiting.held });
            woken.push(waiting.waker);
        }
        let set_aside = self.front.as_ref().map_or(0, |front| pool.frame_max - front.held);
        let mut room = pool.limit.saturating_sub(self.used + set_aside);
        while let Some(first) = self.waiting.first_entry().filter(|first| first.get().more <= room) {
            let waiting = first.remove();
            room -= waiting.more;
            woken.push(waiting.waker);
        }
        woken
    }

    fn next_front(&mut self) -> Option<(usize, u64)> {
        self.fronts += 1;
        match self.fronts.is_multiple_of(OLDEST_EACH) {
            true => self.waiting.keys().min_by_key(|(_, ticket)| *ticket).copied(),
            false => self.waiting.keys().next().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn room(memory: usize, frame_max: usize) -> (Arrivals, Context<'static>) {
        (Arrivals::new(memory, frame_max), Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_frame_holds_no_more_than_was_announced_and_gives_it_back() {
        let (arrivals, mut cx) = room(100 * MIB, 50 * MIB);
        let mut one = arrivals.begin(3 * MIB);
        assert!(one.poll_grow(MIB, &mut cx).is_ready() && one.poll_grow(9 * MIB, &mut cx).is_ready());
        assert_eq!((one.held, arrivals.used()), (3 * MIB, 3 * MIB));
        drop(one);
        assert_eq!(arrivals.used(), 0);
    }

    #[test]
    fn one_frame_arrives_whole_and_the_others_share_what_that_leaves() {
        let (arrivals, mut cx) = room(0, 100 * MIB);
        let mut front = arrivals.begin(100 * MIB);
        let mut other = arrivals.begin(100 * MIB);
        assert!(front.poll_grow(MIB, &mut cx).is_ready());
        assert!(other.poll_grow(1, &mut cx).is_pending(), "nothing is left beside the front");
        assert!(other.is_contended());
        assert!(front.poll_grow(100 * MIB, &mut cx).is_ready());
        drop(front);
        assert!(!other.is_contended(), "it is the front, and was woken");
        assert!(other.poll_grow(100 * MIB, &mut cx).is_ready());
    }

    #[test]
    fn whatever_was_announced_somebody_can_go_on() {
        let (arrivals, mut cx) = room(160 * MIB, 100 * MIB);
        let mut frames: Vec<_> = (0..200).map(|n| arrivals.begin(3 * MIB + n * MIB * 12 / 25)).collect();
        while !frames.is_empty() {
            let before: usize = frames.iter().map(|frame| frame.held).sum();
            for frame in &mut frames {
                let _ = frame.poll_grow(frame.held + MIB, &mut cx);
            }
            frames.retain(|frame| frame.held < frame.announced);
            let after: usize = frames.iter().map(|frame| frame.held).sum();
            assert!(after != before || frames.is_empty(), "nobody went on");
        }
        assert_eq!(arrivals.used(), 0);
    }

    #[test]
    fn large_frames_do_not_touch_small_ones() {
        let (arrivals, mut cx) = room(0, 100 * MIB);
        let mut large = arrivals.begin(100 * MIB);
        assert!(large.poll_grow(100 * MIB, &mut cx).is_ready());
        let mut small = [arrivals.begin(MIB), arrivals.begin(MIB)];
        assert!(small.iter_mut().all(|small| small.poll_grow(MIB, &mut cx).is_ready()));
    }

    #[test]
    fn the_smallest_goes_first_and_now_and_then_the_oldest() {
        let (arrivals, mut cx) = room(0, 100 * MIB);
        let mut front = arrivals.begin(100 * MIB);
        assert!(front.poll_grow(100 * MIB, &mut cx).is_ready());
        let mut waiting: Vec<_> = (0..8).map(|n| arrivals.begin((90 - n) * MIB)).collect();
        for frame in &mut waiting {
            assert!(frame.poll_grow(90 * MIB, &mut cx).is_pending());
        }
        drop(front);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let next = waiting.iter_mut().position(|frame| frame.poll_grow(90 * MIB, &mut cx).is_ready());
            order.push(waiting.remove(next.expect("one is at the front")).announced / MIB);
        }
        assert_eq!(order, [83, 84, 85, 90, 86, 87, 88, 89]);
    }
}
