//! One capture for Python: packets are worked on with the GIL released, batches come out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::engine::{Engine, Settings, State};
use wire::record::Identity;

use crate::batch::Batch;
use crate::packets::tap::Tap;
use crate::packets::{QUOTA_BYTES_LEAST, ring::Ring};
use crate::source::{PATIENCE, Progress, Source};

create_exception!(
    sensor._core,
    CaptureError,
    PyException,
    "A capture cannot be read: not a capture file, empty, unreadable, unknown link type. The text is one line: what to do."
);

/// Packets worked on before signals are looked at: some 20 ms.
const PACKETS: usize = 65_536;
/// Longest time between two cuts of a live source.
const CUT: Duration = Duration::from_millis(500);

/// Reads one capture and yields its record batches in order of `sequence`.
#[pyclass(module = "sensor._core", frozen)]
pub struct Reader {
    work: Mutex<Work>,
    warnings: Mutex<Vec<String>>,
    /// How many of them were taken.
    taken: AtomicUsize,
    stopped: AtomicBool,
    position: AtomicU64,
    packets: AtomicU64,
    epoch: String,
    format: String,
    size: Option<u64>,
}

/// What one thread at a time works on.
struct Work {
    source: Source,
    engine: Engine,
    /// Where packets are kept as evidence.
    tap: Option<Tap>,
    batches: VecDeque<wire::record::Batch>,
    is_live: bool,
    is_done: bool,
    /// When the last cut was made, and when packet time was last known (live sources).
    cut_at: Instant,
    heard_at: Instant,
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (path, *, site = String::new(), sensor = String::new(), epoch = None, first_sequence = 0, live = false, packets = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        path: &str,
        site: String,
        sensor: String,
        epoch: Option<String>,
        first_sequence: u64,
        live: bool,
        packets: Option<(PathBuf, u64)>,
    ) -> PyResult<Self> {
        let live_epoch = given_epoch(epoch)?;
        if path == "-" {
            wait_for_input(py)?;
        }
        let source = py.detach(|| Source::open(path)).map_err(|error| CaptureError::new_err(error.0))?;
        let is_live = live || source.epoch().is_none();
        let (epoch, first_sequence) = match source.epoch() {
            Some(hash) if !is_live => (hash.to_owned(), 0),
            _ => (live_epoch, first_sequence),
        };
        let ring = opened(py, packets, &sensor, &epoch, 1, !is_live)?;
        let tap = ring.map(|ring| Tap::new(ring, true)).transpose()?;
        let identity = Identity { site, sensor, epoch: epoch.clone() };
        let settings = Settings { version: env!("CARGO_PKG_VERSION"), ..Settings::default() };
        let (format, size, now) = (source.format().to_owned(), source.size(), Instant::now());
        let engine = Engine::new(identity, first_sequence, settings);
        let work = Work { source, engine, tap, batches: VecDeque::new(), is_live, is_done: false, cut_at: now, heard_at: now };
        Ok(Self {
            work: Mutex::new(work),
            warnings: Mutex::new(Vec::new()),
            taken: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            position: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            epoch,
            format,
            size,
        })
    }

    fn __iter__(reader: PyRef<'_, Self>) -> PyRef<'_, Self> {
        reader
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        loop {
            match py.detach(|| self.work_on()) {
                Turn::Batch(batch) => return Ok(Some(Batch(*batch))),
                Turn::End => return Ok(None),
                Turn::Again => py.check_signals()?,
                Turn::Failed(reason) => {
                    return Err(PyRuntimeError::new_err(format!("the packet core failed, please report it: {reason}")));
                }
            }
        }
    }

    /// Take in no more packets; iteration ends once the records of those already taken in are out. Safe from any thread.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// 32 hexadecimal digits: BLAKE3 of the file's content, or random for a live source.
    #[getter]
    fn epoch(&self) -> &str {
        &self.epoch
    }

    /// What the capture is, as in "pcapng, zstd".
    #[getter]
    fn format(&self) -> &str {
        &self.format
    }

    /// Bytes of the file as it is on disk; None for standard input.
    #[getter]
    fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes of the file (as it is on disk) read so far.
    #[getter]
    fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Packets taken in so far.
    #[getter]
    fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// One line for each thing that could not be read.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Those since the last look.
    fn take_warnings(&self) -> Vec<String> {
        let warnings = lock(&self.warnings);
        let taken = self.taken.swap(warnings.len(), Ordering::Relaxed);
        warnings.get(taken..).unwrap_or_default().to_vec()
    }
}

/// What one turn of work came to.
enum Turn {
    Batch(Box<wire::record::Batch>),
    Again,
    End,
    Failed(String),
}

impl Reader {
    /// Works until there is a batch, or for a moment.
    fn work_on(&self) -> Turn {
        let mut work = lock(&self.work);
        if work.batches.is_empty() && !work.is_done {
            // A panic is a defect, but one that must not take the process that embeds the core with it.
            let turn = catch_unwind(AssertUnwindSafe(|| work.take_in(&self.stopped)));
            if let Err(panic) = turn {
                work.is_done = true;
                let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
                return Turn::Failed(text.unwrap_or("no reason given").to_owned());
            }
            self.position.store(work.source.position(), Ordering::Relaxed);
            self.packets.store(work.source.packets(), Ordering::Relaxed);
            *lock(&self.warnings) = work.source.warnings().to_vec();
        }
        match work.batches.pop_front() {
            Some(batch) => Turn::Batch(Box::new(batch)),
            None if work.is_done => Turn::End,
            None => Turn::Again,
        }
    }
}

impl Work {
    fn take_in(&mut self, stopped: &AtomicBool) {
        let Self { source, engine, tap, is_live, cut_at, .. } = self;
        let (is_live, due) = (*is_live, *cut_at + CUT);
        let before = source.packets();
        let deadline = Instant::now() + PATIENCE;
        let progress = source.read(PACKETS, Some(deadline), |packet| {
            engine.packet(packet);
            if let Some(tap) = tap {
                tap.packet(packet);
            }
            !(engine.has_batches() || stopped.load(Ordering::Relaxed) || is_live && Instant::now() >= due)
        });
        if let Some(tap) = tap {
            tap.flush();
        }
        let now = Instant::now();
        let is_over = progress == Progress::End || stopped.load(Ordering::Relaxed);
        if is_over {
            if let Some(tap) = tap {
                tap.finish();
            }
            tell_lost(engine, tap.as_ref());
            engine.finish();
            self.is_done = true;
        } else if is_live {
            // Packet time is not known before the first packet.
            if source.packets() == before && before > 0 {
                let silence = i64::try_from((now - self.heard_at).as_nanos()).unwrap_or(i64::MAX);
                engine.advance(engine.latest().saturating_add(silence));
            }
            self.heard_at = now;
            if now >= due {
                tell_lost(engine, tap.as_ref());
                engine.cut();
                *cut_at = now;
            }
        }
        self.batches.extend(engine.take_batches());
    }
}

/// Tells table `sensor` of packets that were not kept.
fn tell_lost(engine: &mut Engine, tap: Option<&Tap>) {
    if let Some(lost) = tap.map(Tap::lost).filter(|lost| *lost > 0) {
        engine.set_elsewhere(State { drops: vec![("packets_not_kept".into(), lost)], ..State::default() });
    }
}

/// The ring in a folder, with a quota of so many bytes. Raises ValueError, CaptureError.
pub fn opened(
    py: Python<'_>,
    packets: Option<(PathBuf, u64)>,
    sensor: &str,
    epoch: &str,
    workers: usize,
    anew: bool,
) -> PyResult<Option<Arc<Ring>>> {
    let Some((folder, quota)) = packets else { return Ok(None) };
    if quota < QUOTA_BYTES_LEAST {
        return Err(PyValueError::new_err(format!("a quota of {quota} bytes for packets: {QUOTA_BYTES_LEAST} is the least")));
    }
    let ring = py.detach(|| Ring::open(&folder, quota, sensor, epoch, workers, anew));
    Ok(Some(Arc::new(ring.map_err(|error| {
        let folder = folder.display();
        CaptureError::new_err(format!(
            "{folder}: packets cannot be kept here: {error}. Check who owns it, or keep none: --packets-quota 0."
        ))
    })?)))
}

/// Waits for standard input to have something, so that a capture's header is not waited for with signals unheard.
fn wait_for_input(py: Python<'_>) -> PyResult<()> {
    loop {
        let is_ready = py.detach(|| {
            let input = rustix::stdio::stdin();
            let mut inputs = [PollFd::new(&input, PollFlags::IN)];
            let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
            // What cannot be waited for is for the reading to tell.
            poll(&mut inputs, Some(&patience)).map_or_else(|error| error != rustix::io::Errno::INTR, |ready| ready > 0)
        });
        py.check_signals()?;
        if is_ready {
            return Ok(());
        }
    }
}

/// The epoch of a live source: the given one, or a random one. Raises ValueError.
pub fn given_epoch(epoch: Option<String>) -> PyResult<String> {
    let Some(epoch) = epoch else { return random_epoch() };
    if epoch.len() != 32 || !epoch.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(PyValueError::new_err(format!("epoch {epoch:?}: 32 hexadecimal digits are needed")));
    }
    Ok(epoch)
}

fn random_epoch() -> PyResult<String> {
    let mut bytes = [0; 16];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match drawn {
        Ok(16) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(PyRuntimeError::new_err("the system gave no random numbers for an epoch")),
    }
}

/// A lock that a panic elsewhere does not close for ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
