//! Independent pieces of work on some threads, their results in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// For each thread, of which only what is used is taken: deep models recurse deeply.
pub const STACK: usize = 256 << 20;

/// Does pieces 0 to `count`, and gives each result to `each` in this order as soon as it is its turn. A piece that
/// panics, or that no thread could be started for, gives `None`. `stopped` is asked before each piece is begun.
pub fn in_order<T: Send>(
    threads: usize,
    count: usize,
    stopped: impl Fn() -> bool + Sync,
    work: impl Fn(usize) -> T + Sync,
    mut each: impl FnMut(usize, Option<T>),
) {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let piece = |send: mpsc::Sender<(usize, Option<T>)>| {
        while !stopped() {
            let k = next.fetch_add(1, Ordering::Relaxed);
            if k >= count {
                break;
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(k))).ok();
            let _ = send.send((k, done));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            let (send, piece) = (send.clone(), &piece);
            let started = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || piece(send));
            if started.is_err() {
                break;
            }
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (k, done) in receive {
            waiting.insert(k, done);
            while let Some(done) = waiting.remove(&turn) {
                each(turn, done);
                turn += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        let mut seen = vec![];
        let work = |k: usize| {
            std::thread::sleep(std::time::Duration::from_millis((7 - k as u64) * 3));
            k * k
        };
        in_order(3, 7, || false, work, |k, square| seen.push((k, square)));
        assert_eq!(seen, (0..7).map(|k| (k, Some(k * k))).collect::<Vec<_>>());
    }

    #[test]
    fn a_stop_begins_nothing_more() {
        let begun = AtomicUsize::new(0);
        let work = |_: usize| begun.fetch_add(1, Ordering::Relaxed);
        in_order(1, 5, || begun.load(Ordering::Relaxed) >= 2, work, |_, _| {});
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
