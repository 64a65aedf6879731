//! Where captures come from: files mapped into memory, compressed files, pipes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use memmap2::Mmap;
use rustix::event::{PollFd, PollFlags, poll};
use wire::capture::{self, Capture, Opening, Step};
use wire::packet::Packet;

/// Bytes taken from a stream at a time.
const READ_BYTES: usize = 256 * 1024;
/// Bytes needed to tell what a file is.
const OPENING_BYTES: usize = 64;

/// Why a capture cannot be read: one line that says what to do.
#[derive(Debug)]
pub struct SourceError(pub String);

/// What `Source::read` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget of packets or time is used up; there may be more.
    More,
    /// There is nothing more.
    End,
}

/// A capture that is read packet by packet.
pub struct Source {
    name: String,
    bytes: Bytes,
    capture: Capture,
    /// Bytes of the (uncompressed) capture used up.
    used: u64,
    ended: bool,
    packets: u64,
    warnings: Vec<String>,
    format: String,
    epoch: Option<String>,
}

/// The capture's bytes from where they have been used up.
enum Bytes {
    Mapped(Mapped),
    Stream(Stream),
}

/// A file in memory; pages that are behind are given back, so that a long capture does not fill a small gateway's memory.
struct Mapped {
    map: Mmap,
    at: usize,
    released: usize,
}

/// Bytes that are read before their pages are given back.
const RELEASE_BYTES: usize = 8 * 1024 * 1024;

impl Mapped {
    /// Gives back the pages before `end`, as far as they are worth a call.
    fn release(&mut self, end: usize) {
        let end = end / RELEASE_BYTES * RELEASE_BYTES;
        if end > self.released {
            // SAFETY: the mapping is of a file and read only: pages that are touched again are read again, with the same content.
            #[allow(unsafe_code)]
            let given = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.released, end - self.released)
            };
            if given.is_ok() {
                self.released = end;
            }
        }
    }

    /// Hash of the whole file.
    fn hash(&mut self, hasher: &mut blake3::Hasher) {
        let mut at = 0;
        while at < self.map.len() {
            let end = self.map.len().min(at + RELEASE_BYTES);
            hasher.update(self.map.get(at..end).unwrap_or_default());
            self.release(end);
            at = end;
        }
        self.released = 0;
    }
}

struct Stream {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// What ended it early.
    failure: Option<String>,
    size: Option<u64>,
}

enum Input {
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Raw>>>),
    Plain(BufReader<Raw>),
}

/// A file or standard input, with the bytes taken from it counted.
struct Raw {
    file: RawFile,
    taken: u64,
    prefix: Vec<u8>,
    prefix_at: usize,
}

enum RawFile {
    File(File),
    Stdin(io::Stdin),
}

impl Read for Raw {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let left = self.prefix.get(self.prefix_at..).unwrap_or_default();
        let count = if left.is_empty() {
            match &mut self.file {
                RawFile::File(file) => file.read(room)?,
                // Standard input's own buffer would hide from `poll` what it holds.
                RawFile::Stdin(stdin) => rustix::io::read(stdin.as_fd(), room)?,
            }
        } else {
            let count = left.len().min(room.len());
            for (to, from) in room.iter_mut().zip(left) {
                *to = *from;
            }
            self.prefix_at += count;
            count
        };
        self.taken += count as u64;
        Ok(count)
    }
}

impl Raw {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.file {
            RawFile::File(file) => file.as_fd(),
            RawFile::Stdin(stdin) => stdin.as_fd(),
        }
    }

    fn has_prefix(&self) -> bool {
        self.prefix_at < self.prefix.len()
    }
}

impl Input {
    fn buffered(&mut self) -> &mut BufReader<Raw> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Plain(reader) => reader,
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(room),
            Self::Zstd(decoder) => decoder.read(room),
            Self::Plain(reader) => reader.read(room),
        }
    }

    /// Waits until there is something to read; false when `deadline` came first.
    fn wait(&mut self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return true };
        let reader = self.buffered();
        if !reader.buffer().is_empty() || reader.get_ref().has_prefix() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(reader.get_ref().descriptor(), PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        // An interrupted wait is a wait that ended early: the caller looks at its clock and at signals.
        matches!(poll(&mut fds, Some(&timeout)), Ok(ready) if ready > 0)
    }
}

impl Source {
    /// Opens a capture file, or standard input for "-".
    ///
    /// # Errors
    /// It cannot be opened, or is no capture.
    pub fn open(path: &str) -> Result<Self, SourceError> {
        if path == "-" { Self::open_stream("standard input", RawFile::Stdin(io::stdin()), None) } else { Self::open_file(path) }
    }

    fn open_file(path: &str) -> Result<Self, SourceError> {
        let fail = |error: &io::Error| SourceError(format!("{path}: {}", what_failed(error)));
        let metadata = std::fs::metadata(Path::new(path)).map_err(|error| fail(&error))?;
        if metadata.is_dir() {
            return Err(SourceError(format!("{path}: a directory, not a capture file. Name the files in it.")));
        }
        let mut file = File::open(path).map_err(|error| fail(&error))?;
        if !metadata.is_file() {
            return Self::open_stream(path, RawFile::File(file), None);
        }
        if metadata.len() == 0 {
            return Err(SourceError(format!("{path}: empty. Check whether the capture was written, and where.")));
        }
        let mut hasher = blake3::Hasher::new();
        let mut head = Vec::new();
        file.by_ref().take(OPENING_BYTES as u64).read_to_end(&mut head).map_err(|error| fail(&error))?;
        if compression(&head).is_some() {
            let hashed = File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
            hashed.map_err(|error| fail(&error))?;
            let file = File::open(path).map_err(|error| fail(&error))?;
            let mut source = Self::open_stream(path, RawFile::File(file), Some(metadata.len()))?;
            source.epoch = Some(epoch(&hasher));
            return Ok(source);
        }
        // SAFETY: the mapping is read only. A file that another process shortens meanwhile ends this one with SIGBUS; captures are read
        // when they are finished, and one that is still being written grows.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|error| fail(&error))?;
        let _ = map.advise(memmap2::Advice::Sequential);
        let (capture, at) = match capture::open(&map) {
            Opening::Capture(capture, at) => (capture, at),
            Opening::NeedMore(_) | Opening::Unknown => return Err(SourceError(no_capture(path, &map))),
        };
        let mut mapped = Mapped { map, at, released: 0 };
        mapped.hash(&mut hasher);
        let format = capture.name().to_owned();
        let used = at as u64;
        Ok(Self {
            name: path.to_owned(),
            bytes: Bytes::Mapped(mapped),
            capture,
            used,
            ended: false,
            packets: 0,
            warnings: Vec::new(),
            format,
            epoch: Some(epoch(&hasher)),
        })
    }

    fn open_stream(name: &str, file: RawFile, size: Option<u64>) -> Result<Self, SourceError> {
        let fail = |error: &io::Error| SourceError(format!("{name}: {}", what_failed(error)));
        let mut raw = Raw { file, taken: 0, prefix: Vec::new(), prefix_at: 0 };
        let mut head = Vec::new();
        raw.by_ref().take(4).read_to_end(&mut head).map_err(|error| fail(&error))?;
        raw.taken = 0;
        raw.prefix.clone_from(&head);
        let compressed = compression(&head);
        let reader = BufReader::with_capacity(READ_BYTES, raw);
        let input = match compressed {
            Some("gzip") => Input::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Some(_) => Input::Zstd(Box::new(zstd::Decoder::with_buffer(reader).map_err(|error| fail(&error))?)),
            None => Input::Plain(reader),
        };
        let mut stream = Stream { input, buffer: Vec::new(), start: 0, ended: false, failure: None, size };
        let (capture, at) = loop {
            match capture::open(stream.held()) {
                Opening::Capture(capture, at) => break (capture, at),
                Opening::NeedMore(_) if !stream.ended => stream.fill(),
                Opening::Unknown if stream.held().len() < OPENING_BYTES && !stream.ended => stream.fill(),
                Opening::NeedMore(_) | Opening::Unknown => {
                    let held = stream.held();
                    if let Some(failure) = &stream.failure {
                        return Err(SourceError(format!(
                            "{name}: cannot be unpacked: {failure}. Check whether it was copied whole."
                        )));
                    }
                    return Err(SourceError(match (held.is_empty(), compressed) {
                        (true, None) => format!("{name}: empty. Check whether the capture was written, and where."),
                        (_, None) => no_capture(name, held),
                        (_, Some(packed)) => format!("{} Its {packed} content was looked at.", no_capture(name, held)),
                    }));
                }
            }
        };
        stream.start += at;
        let format = compressed.map_or_else(|| capture.name().to_owned(), |packed| format!("{}, {packed}", capture.name()));
        let (used, warnings) = (at as u64, Vec::new());
        Ok(Self {
            name: name.to_owned(),
            bytes: Bytes::Stream(stream),
            capture,
            used,
            ended: false,
            packets: 0,
            warnings,
            format,
            epoch: None,
        })
    }

    /// Gives up to `budget` packets to `sink`, until `deadline` where there is one. `sink` says whether it wants more now.
    pub fn read(&mut self, budget: usize, deadline: Option<Instant>, mut sink: impl FnMut(&Packet<'_>) -> bool) -> Progress {
        let mut left = budget;
        while left > 0 {
            if self.ended {
                return Progress::End;
            }
            match &mut self.bytes {
                Bytes::Mapped(mapped) => {
                    let mut data = mapped.map.get(mapped.at..).unwrap_or_default();
                    let mut more = true;
                    let step = loop {
                        match self.capture.next(data) {
                            Step::Packet(packet, used) => {
                                data = data.get(used..).unwrap_or_default();
                                self.packets += 1;
                                left -= 1;
                                more = sink(&packet);
                                if left == 0 || !more {
                                    break None;
                                }
                            }
                            Step::Skip(used) => data = data.get(used..).unwrap_or_default(),
                            Step::NeedMore(_) => break Some(None),
                            Step::Broken(reason) => break Some(Some(reason)),
                        }
                    };
                    let rest = data.len();
                    mapped.at = mapped.map.len() - rest;
                    mapped.release(mapped.at);
                    self.used = mapped.at as u64;
                    match step {
                        Some(reason) => self.end(rest, reason),
                        None if !more || left == 0 => return Progress::More,
                        None => {}
                    }
                }
                Bytes::Stream(stream) => {
                    let step = self.capture.next(stream.held());
                    match step {
                        Step::Packet(packet, used) => {
                            self.packets += 1;
                            left -= 1;
                            self.used += used as u64;
                            let more = sink(&packet);
                            stream.start += used;
                            if !more {
                                return Progress::More;
                            }
                        }
                        Step::Skip(used) => {
                            stream.start += used;
                            self.used += used as u64;
                        }
                        Step::NeedMore(_) if !stream.ended => {
                            if !stream.input.wait(deadline) {
                                return Progress::More;
                            }
                            stream.fill();
                        }
                        Step::NeedMore(_) => {
                            let (rest, failure) = (stream.held().len(), stream.failure.take());
                            self.end(rest, failure);
                        }
                        Step::Broken(reason) => {
                            let rest = stream.held().len();
                            self.end(rest, Some(reason));
                        }
                    }
                }
            }
        }
        Progress::More
    }

    fn end(&mut self, rest: usize, reason: Option<String>) {
        self.ended = true;
        let (name, used, packets) = (&self.name, self.used, self.packets);
        match reason {
            Some(reason) => self.warnings.push(format!(
                "{name}: damaged at byte {used}: {reason}; the {packets} packets before it were read. Repair it, or capture again."
            )),
            None if rest > 0 => self.warnings.push(format!(
                "{name}: cut off in the middle of a packet at byte {used}; the {packets} packets before it were read."
            )),
            None => {}
        }
    }

    /// What the capture is, as in "pcapng, zstd".
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Bytes of the file on disk; None for a pipe.
    pub fn size(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Mapped(mapped) => Some(mapped.map.len() as u64),
            Bytes::Stream(stream) => stream.size,
        }
    }

    /// Bytes of the file on disk used up.
    pub fn position(&mut self) -> u64 {
        match &mut self.bytes {
            Bytes::Mapped(mapped) => mapped.at as u64,
            Bytes::Stream(stream) => stream.input.buffered().get_ref().taken,
        }
    }

    /// Packets given so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// What could not be read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds a line to the warnings.
    pub fn warn(&mut self, text: &str) {
        self.warnings.push(format!("{}: {text}", self.name));
    }

    /// Hash of a file's content; None for a pipe.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }
}

impl Stream {
    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Takes more bytes in, behind those that are held.
    fn fill(&mut self) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let room = self.buffer.get_mut(before..).unwrap_or_default();
        let count = match self.input.read(room) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.buffer.truncate(before);
                return;
            }
            Err(error) => {
                self.failure = Some(error.to_string());
                0
            }
        };
        self.buffer.truncate(before + count);
        self.ended |= count == 0;
    }
}

fn epoch(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex().chars().take(32).collect()
}

fn compression(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        _ => None,
    }
}

fn what_failed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file. Check the path.".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied. Run as a user who may read it.".to_owned(),
        _ => format!("cannot be read: {error}. Check the disk and the path."),
    }
}

/// First bytes of files that people take for captures, what they are, and what to do.
const KNOWN: [(&[u8], &str, &str); 17] = [
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"BZh", "compressed with bzip2", "Unpack it first, with bunzip2."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it first, with unxz."),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "Unpack it first, with unlz4."),
    (b"snoop\0\0\0", "a snoop capture", "Convert it: editcap -F pcapng IN OUT."),
    (b"XCP\0", "a Network Associates Sniffer capture", "Convert it: editcap -F pcapng IN OUT."),
    (b"GMBU", "a Microsoft Network Monitor capture", "Convert it: editcap -F pcapng IN OUT."),
    (b"RTSS", "a Microsoft Network Monitor 1 capture", "Convert it: editcap -F pcapng IN OUT."),
    (b"\x7fELF", "a program", "Name the capture file."),
    (b"MZ", "a Windows program", "Name the capture file."),
    (b"%PDF", "a PDF document", "Name the capture file."),
    (b"ElfFile\0", "a Windows event log", "Name the capture file."),
    (b"SQLite format 3", "an SQLite database", "Name the capture file."),
    (b"PAR1", "a Parquet file", "Name the capture file; stored records are read by `icsight query`."),
    (b"\0\0\0\0\0\0\0\0", "zeros", "The capture was not written or the disk lost it; capture again."),
];

fn no_capture(name: &str, data: &[u8]) -> String {
    let first: Vec<String> = data.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let head = data.get(..data.len().min(512)).unwrap_or_default();
    let known = KNOWN.iter().find(|(magic, _, _)| head.starts_with(magic)).map(|(_, what, todo)| (*what, *todo));
    let magic = data.len() < 24 && matches!(capture::open(data), Opening::NeedMore(_));
    let (what, todo) = match known {
        Some(known) => known,
        None if magic => ("a capture cut off in its header", "Capture again."),
        None if head.iter().all(|byte| matches!(byte, 0x09..=0x0d | 0x20..=0x7e | 0x80..))
            && std::str::from_utf8(head).is_ok() =>
        {
            ("text", "Name the capture file.")
        }
        None => ("unknown", "Captures are pcap or pcapng, plain, gzip or zstd; convert others with: editcap -F pcapng IN OUT."),
    };
    format!("{name}: not a capture file (first bytes {}: {what}). {todo}", first.join(" "))
}

/// How long a caller that must look at signals waits at most.
pub const PATIENCE: Duration = Duration::from_millis(100);
