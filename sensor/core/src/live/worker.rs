//! A worker: takes packets out of its rings into an engine of its own, and hands over what all workers cut in one round.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::engine::{Engine, State};
use wire::packet::Packet;
use wire::record::Batch;

use super::Shared;
use super::port::Port;
use super::ring::{RETIRE_MS, Ring};
use crate::memory::keep_for_the_next;
use crate::packets::tap::Tap;

/// Longest time between two cuts.
const CUT: Duration = Duration::from_millis(500);
/// Longest time that a worker waits for packets before it looks around.
const WAIT: Duration = Duration::from_millis(50);
/// Blocks that are taken from one ring before the next has its turn.
const TURN: usize = 16;
/// What packet time may be behind the system's clock while no packet comes: a packet that was captured before may still lie in a block that
/// has not been handed over.
const LAG_NS: i64 = 4 * RETIRE_MS as i64 * 1_000_000;
/// How long a worker goes on taking packets out of its rings when it has been stopped.
const DRAIN: Duration = Duration::from_millis(800);
/// How long the first worker waits for the others' last figures.
const OTHERS: Duration = Duration::from_secs(2);

/// What a worker hands over at the end of a round.
pub enum Part {
    /// What it cut.
    Cut(Vec<Batch>),
    /// What it cut, and there will be no more.
    Last(Vec<Batch>),
    /// It has failed, for this reason.
    Failed(String),
}

/// One worker.
pub struct Worker {
    /// From 0. The first one tells table `sensor` about all.
    pub number: usize,
    /// Its engine.
    pub engine: Engine,
    /// Where packets are kept as evidence.
    pub tap: Option<Tap>,
    /// Where its parts go.
    pub parts: SyncSender<Part>,
    /// What it shares.
    pub shared: Arc<Shared>,
}

/// A ring that a worker has, and the interface's generation to which it belongs.
#[derive(Default)]
struct Held {
    ring: Option<Ring>,
    generation: u64,
}

impl Worker {
    /// Works until everything is stopped.
    pub fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut held: Vec<Held> = shared.ports.iter().map(|_| Held::default()).collect();
        let mut round = 0_u64;
        let mut due = Instant::now() + CUT;
        let mut heard = Instant::now();
        let mut stopped_at = None;
        loop {
            let now = Instant::now();
            let mut is_idle = true;
            for (port, held) in shared.ports.iter().zip(&mut held) {
                self.adopt(port, held);
                is_idle &= !self.take_in(port, held);
            }
            if shared.is_stopped() {
                // What came before the stop is handed over within the time of two blocks.
                let since = now.duration_since(*stopped_at.get_or_insert(now));
                if since >= DRAIN || is_idle && since >= Duration::from_millis(2 * u64::from(RETIRE_MS)) {
                    break;
                }
            }
            if is_idle {
                if now.duration_since(heard) >= WAIT {
                    self.engine.advance(system_ns().saturating_sub(LAG_NS));
                }
                self.wait(&held, due.saturating_duration_since(now).min(WAIT));
            } else {
                heard = now;
            }
            let left = due.saturating_duration_since(now);
            if left.is_zero() || self.engine.has_batches() {
                keep_for_the_next(left > CUT / 2);
                shared.round.fetch_max(round + 1, Ordering::Relaxed);
            }
            while round < shared.round.load(Ordering::Relaxed) {
                round += 1;
                due = Instant::now() + CUT;
                if let Some(tap) = &mut self.tap {
                    tap.flush();
                }
                self.tell();
                // Where tables were full before their time, what came since waits for the next cut: it would be batches of a few rows. Several
                // workers cut together, so that the clock at the end of a cut is that of them all.
                if left.is_zero() || shared.states.len() > 1 {
                    self.engine.cut();
                }
                if self.parts.send(Part::Cut(self.engine.take_batches())).is_err() {
                    return;
                }
            }
        }
        self.finish(&held);
    }

    fn finish(mut self, held: &[Held]) {
        for (port, held) in self.shared.ports.iter().zip(held) {
            if let Some(ring) = &held.ring {
                port.leave(ring);
            }
        }
        if let Some(tap) = &mut self.tap {
            tap.finish();
        }
        if self.number == 0 {
            let until = Instant::now() + OTHERS;
            while self.shared.working() > 1 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.tell();
        self.engine.finish();
        self.shared.has_finished();
        // Nobody takes it: then nobody wants it.
        drop(self.parts.send(Part::Last(self.engine.take_batches())));
    }

    /// Takes the ring that is due: the one it has may be of an interface that has gone.
    fn adopt(&mut self, port: &Port, held: &mut Held) {
        let generation = port.generation.load(Ordering::Acquire);
        if held.generation == generation {
            return;
        }
        // What the ring still holds was received.
        while self.take_in(port, held) {}
        *held = Held { ring: port.take(self.number), generation };
    }

    /// Works on the blocks that the kernel has handed over; says whether there were any.
    fn take_in(&mut self, port: &Port, held: &mut Held) -> bool {
        let Some(ring) = &mut held.ring else { return false };
        let mut is_wrong_clock = false;
        let before = self.engine.packets();
        let mut blocks = 0;
        while blocks < TURN
            && let Some(mut block) = ring.block()
        {
            blocks += 1;
            let now = system_ns();
            while let Some(frame) = block.frame() {
                let ts = frame.stamp.believed(now).unwrap_or_else(|| {
                    is_wrong_clock = true;
                    now
                });
                let packet = Packet { ts, link: port.link, original_length: frame.original_length, data: frame.data };
                self.engine.packet(&packet);
                if let Some(tap) = &mut self.tap {
                    tap.packet(&packet);
                }
            }
            drop(block);
            // Full tables: all workers cut.
            if self.engine.has_batches() {
                break;
            }
        }
        if is_wrong_clock && ring.socket().stamp_by_system().is_ok() {
            shared_warning(&self.shared, port);
        }
        self.shared.packets.fetch_add(self.engine.packets() - before, Ordering::Relaxed);
        blocks > 0
    }

    /// Waits for packets.
    fn wait(&self, held: &[Held], time: Duration) {
        let sockets: Vec<_> = held.iter().filter_map(|held| held.ring.as_ref()).map(Ring::socket).collect();
        let mut waited: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket.as_ref(), PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        // A signal ends the wait; so may anything else, as every wait is short.
        let _ = poll(&mut waited, Some(&timeout));
        for (socket, event) in sockets.iter().zip(&waited) {
            if event.revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                // The interface is down or gone, which the watch notices.
                let _ = socket.take_error();
            }
        }
    }

    /// Tells table `sensor` what there is to tell.
    fn tell(&mut self) {
        if self.number > 0 {
            let state = self.engine.state();
            self.shared.set_state(self.number, state);
        } else {
            let mut elsewhere = self.shared.states();
            elsewhere.add(&State { drops: self.shared.losses(), ..State::default() });
            elsewhere.add(&self.shared.told());
            let clock = self.engine.clock();
            elsewhere.clock_offset = (clock > 0).then(|| system_ns().saturating_sub(clock));
            self.engine.set_elsewhere(elsewhere);
        }
    }
}

fn shared_warning(shared: &Shared, port: &Port) {
    shared.warn_once(format!(
        "{}: the adapter's clock is more than 5 s from the system's; the system's time stamps are used. Set it with phc2sys.",
        port.name
    ));
}

/// The system's clock, nanoseconds since 1970.
pub fn system_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
