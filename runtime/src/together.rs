//! Threads that do one piece of work together: each its part, meeting where one needs what another has done.
//!
//! A thread that waits spins for a while, for the others are mostly about to come, and then sleeps, for the machine may
//! have given their processor to somebody else. One that ends early (a status, a panic) sends the others home: nobody
//! waits for who will not come.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::abi::status;

/// Looks at the others before a thread sleeps; some 50 to 500 µs.
const SPINS: u32 = 10_000;
/// After so many looks it lets others run between them.
const POLITE: u32 = 2000;

/// Where a fixed number of threads wait for one another, again and again.
struct Meeting {
    parts: u32,
    arrived: AtomicU32,
    round: AtomicU32,
    left: AtomicBool,
    asleep: AtomicU32,
    door: Mutex<()>,
    bell: Condvar,
}

impl Meeting {
    fn new(parts: u32) -> Meeting {
        Meeting {
            parts,
            arrived: AtomicU32::new(0),
            round: AtomicU32::new(0),
            left: AtomicBool::new(false),
            asleep: AtomicU32::new(0),
            door: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    fn door(&self) -> MutexGuard<'_, ()> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// Whether all came.
    fn wait(&self) -> bool {
        let round = self.round.load(Ordering::SeqCst);
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.parts {
            self.arrived.store(0, Ordering::SeqCst);
            self.round.store(round.wrapping_add(1), Ordering::SeqCst);
            if self.asleep.load(Ordering::SeqCst) > 0 {
                drop(self.door());
                self.bell.notify_all();
            }
            return !self.has_left();
        }
        let waits = || self.round.load(Ordering::SeqCst) == round && !self.has_left();
        for look in 0..SPINS {
            if !waits() {
                return !self.has_left();
            }
            match look > POLITE && look % 64 == 0 {
                true => std::thread::yield_now(),
                false => std::hint::spin_loop(),
            }
        }
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let mut door = self.door();
        while waits() {
            door = self.bell.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
        drop(door);
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        !self.has_left()
    }

    fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
        drop(self.door());
        self.bell.notify_all();
    }
}

thread_local! {
    /// The meeting that this thread takes part in.
    static MEETING: Cell<*const Meeting> = const { Cell::new(null()) };
}

/// Waits for the others; false where one of them has left. Outside of [`together`] there is nobody to wait for.
pub fn meet() -> bool {
    let meeting = MEETING.get();
    // SAFETY: set by `attend` alone, which outlives every call made by the work it runs and then resets it.
    unsafe { meeting.as_ref() }.is_none_or(Meeting::wait)
}

/// One part's work, after all have come; a status that is not good sends the others home.
fn attend(meeting: &Meeting, part: usize, work: &(dyn Fn(usize) -> i32 + Sync)) -> i32 {
    let outer = MEETING.replace(meeting);
    let done = catch_unwind(AssertUnwindSafe(|| if meeting.wait() { work(part) } else { status::LEFT }));
    MEETING.set(outer);
    let status = done.unwrap_or(status::BUG);
    if status != status::OK {
        meeting.leave();
    }
    status
}

/// Does `work(0)` to `work(parts - 1)`, each on a thread of its own, the first on this one. The status is that of the
/// lowest part that ended with one of its own. Where the threads cannot be had nothing is done, and there is none.
pub fn together(parts: usize, work: &(dyn Fn(usize) -> i32 + Sync)) -> Option<i32> {
    let meeting = Meeting::new(u32::try_from(parts).ok()?);
    let statuses: Vec<i32> = std::thread::scope(|scope| {
        let mut others = vec![];
        for part in 1..parts {
            let meeting = &meeting;
            match std::thread::Builder::new().spawn_scoped(scope, move || attend(meeting, part, work)) {
                Ok(thread) => others.push(thread),
                Err(_) => {
                    meeting.leave();
                    return vec![];
                }
            }
        }
        let first = attend(&meeting, 0, work);
        let rest = others.into_iter().map(|thread| thread.join().unwrap_or(status::BUG));
        std::iter::once(first).chain(rest).collect()
    });
    let own = statuses.iter().copied().find(|s| !matches!(*s, status::OK | status::LEFT));
    own.or_else(|| statuses.first().copied().map(|_| status::OK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    /// Each part adds to its own number and then looks at its neighbour's: nobody is ahead or behind.
    fn rounds(parts: usize, rounds: u64, pause: impl Fn(usize, u64) + Sync) -> Option<i32> {
        let numbers: Vec<AtomicU64> = (0..parts).map(|_| AtomicU64::new(0)).collect();
        together(parts, &|part| {
            for round in 1..=rounds {
                pause(part, round);
                numbers[part].store(round, Ordering::Relaxed);
                if !meet() {
                    return status::LEFT;
                }
                if numbers[(part + 1) % parts].load(Ordering::Relaxed) != round {
                    return 9;
                }
                if !meet() {
                    return status::LEFT;
                }
            }
            status::OK
        })
    }

    #[test]
    fn nobody_is_ahead_of_a_meeting() {
        for (parts, count) in [(1, 5000), (2, 2000), (3, 300), (8, 50)] {
            assert_eq!(rounds(parts, count, |_, _| ()), Some(status::OK), "{parts}");
        }
    }

    #[test]
    fn who_sleeps_is_woken() {
        // Now one and now the other is so late that the rest have gone to sleep.
        let late = |part: usize, round: u64| {
            if round % 3 == part as u64 % 3 {
                std::thread::sleep(Duration::from_micros(50 * (round % 20)));
            }
        };
        assert_eq!(rounds(4, 60, late), Some(status::OK));
    }

    #[test]
    fn who_leaves_sends_the_others_home() {
        let at = |end: i32| {
            together(4, &|part| {
                for round in 0..100 {
                    if (part, round) == (2, 50) {
                        return end;
                    }
                    if !meet() {
                        return status::LEFT;
                    }
                }
                status::OK
            })
        };
        assert_eq!(at(status::LOG_FULL), Some(status::LOG_FULL));
        assert_eq!(at(status::BUG), Some(status::BUG));
    }

    #[test]
    fn a_panic_leaves_nobody_waiting() {
        let status = together(3, &|part| {
            assert!(part != 1, "on purpose");
            if meet() { status::OK } else { status::LEFT }
        });
        assert_eq!(status, Some(status::BUG));
        assert!(meet());
    }
}
