//! Live capture from network interfaces of Linux.
//!
//! A worker (a thread) has a ring and an engine of its own; the kernel spreads conversations over the workers. A watch (another thread)
//! opens interfaces again that were away, and counts what was lost. What the workers cut joins one stream of batches (`Merge`). Everything
//! between them is bounded: when batches are not taken, workers wait, rings fill, and what the kernel then drops is counted.

mod abi;
mod filter;
mod interface;
mod merge;
mod port;
mod ring;
mod sharing;
mod socket;
mod stamp;
mod warnings;
mod watch;
mod worker;

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use wire::engine::{Engine, State};
use wire::record::{Batch, Identity};

use crate::packets::ring::Ring;
use crate::packets::tap::Tap;
use merge::Merge;
use port::Port;
use socket::Socket;
use warnings::Warnings;
use watch::Watch;
use worker::{Part, Worker};

/// Most interfaces of one sensor.
pub const INTERFACES: usize = 16;
/// Most workers: a cut must not have more batches than a consumer holds for one (64), and each worker cuts each table.
pub const WORKERS: usize = 6;
/// Bytes of a ring, unless it is given otherwise: a third of a second of 200,000 packets of a plant a second.
pub const RING_BYTES: usize = 16 * 1024 * 1024;
/// Rounds of a worker that wait to be taken before it waits itself.
const ROUNDS: usize = 4;

/// What to listen to, and how.
#[derive(Clone)]
pub struct Settings {
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// Filter expression (pcap-filter(7)).
    pub filter: Option<String>,
    /// Threads that work on packets, 1 to `WORKERS`.
    pub workers: usize,
    /// Bytes of the ring that each worker has on each interface.
    pub ring_bytes: usize,
    /// Version that table `sensor` tells.
    pub version: &'static str,
    /// Where packets are kept as evidence.
    pub packets: Option<Arc<Ring>>,
}

/// Why nothing can be captured: one line that says what to do.
#[derive(Debug)]
pub struct LiveError(pub String);

/// What asking for a batch came to.
pub enum Next {
    /// A batch.
    Batch(Box<Batch>),
    /// None came in time.
    Late,
    /// There will be no more.
    End,
    /// A worker has failed, which is a defect.
    Failed(String),
}

/// What all threads share.
pub struct Shared {
    ports: Vec<Port>,
    /// The round that all workers are to have cut.
    round: AtomicU64,
    packets: AtomicU64,
    stopped: AtomicBool,
    working: AtomicUsize,
    states: Vec<Mutex<State>>,
    kept: Option<Arc<Ring>>,
    told: Mutex<State>,
    warnings: Mutex<Warnings>,
}

/// A capture from interfaces.
pub struct Live {
    shared: Arc<Shared>,
    /// What has not begun yet.
    idle: Option<(Watch, Vec<Worker>)>,
    threads: Vec<JoinHandle<()>>,
    parts: Vec<Receiver<Part>>,
    /// The parts of the current round, as far as they have come; a worker that has ended has no place any more.
    round: Vec<Option<Vec<Batch>>>,
    ended: Vec<bool>,
    merge: Merge,
}

impl Live {
    /// Opens the interfaces. Packets are kept from now on; nothing is worked on before the first call of `next`.
    ///
    /// # Errors
    /// The right is missing, an interface is not there or not of a known kind, the filter is wrong.
    pub fn open(identity: &Identity, first_sequence: u64, settings: &Settings) -> Result<Self, LiveError> {
        crate::memory::hold_little();
        let workers = settings.workers.clamp(1, WORKERS);
        let names: Vec<&String> = settings.interfaces.iter().take(INTERFACES).collect();
        let label = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let socket = Socket::open().map_err(|error| LiveError(refused(&label, &error)))?;
        let mut ports = Vec::new();
        for name in names {
            let found = interface::find(socket.as_fd(), name).map_err(|_| {
                LiveError(format!("{name}: there is no such interface. There are: {}.", interface::names().join(", ")))
            })?;
            let link = found.link.ok_or_else(|| {
                LiveError(format!("{name}: what its packets begin with is not known. Name an Ethernet interface."))
            })?;
            let program = settings.filter.as_deref().map_or_else(|| Ok(Vec::new()), |text| filter::compile(text, link));
            ports.push(Port::new(name.clone(), link, program.map_err(LiveError)?, settings.ring_bytes, workers));
        }
        let shared = Arc::new(Shared {
            ports,
            round: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            working: AtomicUsize::new(workers),
            states: (0..workers).map(|_| Mutex::default()).collect(),
            kept: settings.packets.clone(),
            told: Mutex::default(),
            warnings: Mutex::default(),
        });
        let watch = Watch::new(socket, &shared);
        let kept = &settings.packets;
        let mut parts = Vec::new();
        let mut idle = Vec::new();
        for number in 0..workers {
            let (sender, receiver) = sync_channel(ROUNDS);
            let settings =
                wire::engine::Settings { version: settings.version, is_silent: number > 0, ..wire::engine::Settings::default() };
            let engine = Engine::new(identity.clone(), first_sequence, settings);
            let tap = kept.as_ref().map(|ring| Tap::new(Arc::clone(ring), false)).transpose();
            let tap = tap.map_err(|error| LiveError(format!("{label}: no thread for packets: {error}")))?;
            idle.push(Worker { number, engine, tap, parts: sender, shared: Arc::clone(&shared) });
            parts.push(receiver);
        }
        Ok(Self {
            shared,
            idle: Some((watch, idle)),
            threads: Vec::new(),
            parts,
            round: (0..workers).map(|_| None).collect(),
            ended: vec![false; workers],
            merge: Merge::new(first_sequence),
        })
    }

    /// What the threads share: for whoever stops them.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The next batch; waits at most so long for each worker.
    pub fn next(&mut self, patience: Duration) -> Next {
        if let Some((watch, workers)) = self.idle.take()
            && let Err(error) = self.start(watch, workers)
        {
            self.shared.stop();
            return Next::Failed(format!("no thread could be started: {error}"));
        }
        if let Some(batch) = self.merge.next() {
            return Next::Batch(Box::new(batch));
        }
        for ((parts, place), ended) in self.parts.iter().zip(&mut self.round).zip(&mut self.ended) {
            if place.is_some() || *ended {
                continue;
            }
            match parts.recv_timeout(patience) {
                Ok(Part::Cut(batches)) => *place = Some(batches),
                Ok(Part::Last(batches)) => {
                    *place = Some(batches);
                    *ended = true;
                }
                Ok(Part::Failed(reason)) => return Next::Failed(reason),
                Err(RecvTimeoutError::Timeout) => return Next::Late,
                Err(RecvTimeoutError::Disconnected) => return Next::Failed("a worker has gone".to_owned()),
            }
        }
        if self.round.iter().all(Option::is_none) {
            return Next::End;
        }
        self.merge.round(self.round.iter_mut().filter_map(Option::take).collect());
        self.merge.next().map_or(Next::Late, |batch| Next::Batch(Box::new(batch)))
    }

    fn start(&mut self, mut watch: Watch, workers: Vec<Worker>) -> std::io::Result<()> {
        let shared = self.shared();
        self.threads.push(Builder::new().name("capture-watch".to_owned()).spawn(move || watch.run(&shared))?);
        for worker in workers {
            let name = format!("capture-{}", worker.number);
            self.threads.push(Builder::new().name(name).spawn(move || guarded(worker))?);
        }
        Ok(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.stop();
        // Workers that wait to hand something over see that nobody takes it.
        self.parts.clear();
        self.idle = None;
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A thread that has failed has said so.
            drop(thread.join());
        }
    }
}

/// A panic is a defect, but one that must not take the process that embeds the core with it.
fn guarded(worker: Worker) {
    let parts = worker.parts.clone();
    let shared = Arc::clone(&worker.shared);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        shared.stop();
        shared.has_finished();
        drop(parts.send(Part::Failed(text.unwrap_or("no reason given").to_owned())));
    }
}

impl Shared {
    /// Takes in no more packets than have come; everything ends once their records are out.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether everything is to end.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Packets taken in so far.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// What is to be said since the last look, one line each.
    pub fn take_warnings(&self) -> Vec<String> {
        lock(&self.warnings).take()
    }

    /// Packets that were lost on the way, and times that interfaces were away, by cause and interface. Nothing that is 0.
    pub fn losses(&self) -> Vec<(Cow<'static, str>, u64)> {
        let told = |port: &Port| {
            [("capture_dropped", &port.dropped), ("capture_frozen", &port.frozen), ("interface_away", &port.away)]
                .map(|(cause, count)| (Cow::Owned(format!("{cause}:{}", port.name)), count.load(Ordering::Relaxed)))
        };
        let kept = self.kept.iter().map(|ring| (Cow::Borrowed("packets_not_kept"), ring.lost()));
        self.ports.iter().flat_map(told).chain(kept).filter(|(_, count)| *count > 0).collect()
    }

    /// Tells table `sensor`, from the next cut on, what whoever takes the batches has counted.
    pub fn tell(&self, state: State) {
        *lock(&self.told) = state;
    }

    /// What the taker of the batches has counted, and what the ring of packets has written.
    fn told(&self) -> State {
        let mut told = lock(&self.told).clone();
        if let (Some(written), Some(ring)) = (&mut told.bytes_written, &self.kept) {
            *written += ring.written();
        }
        told
    }

    /// Bytes that the ring of packets has written.
    pub fn kept_bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |ring| ring.written())
    }

    fn warn(&self, line: String) {
        lock(&self.warnings).add(line);
    }

    fn warn_once(&self, line: String) {
        lock(&self.warnings).add_once(line);
    }

    fn working(&self) -> usize {
        self.working.load(Ordering::Acquire)
    }

    fn has_finished(&self) {
        self.working.fetch_sub(1, Ordering::Release);
    }

    fn set_state(&self, worker: usize, state: State) {
        if let Some(place) = self.states.get(worker) {
            *lock(place) = state;
        }
    }

    /// What the workers besides the first have counted.
    fn states(&self) -> State {
        let mut sum = State::default();
        for state in &self.states {
            sum.add(&lock(state));
        }
        sum
    }
}

/// A lock that a panic elsewhere does not close for ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(label: &str, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return format!(
            "{label}: capturing needs the capability CAP_NET_RAW. Run as root with --user, or as the service deploy/systemd/icsight-sensor.service."
        );
    }
    format!("{label}: the system gives no packet socket: {error}")
}
