//! Bytes of a file or a pipe, unpacked where they are packed, with a window on what has not been used up.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes taken in at a time: they stay in a core's second-level cache until they have been parsed.
const READ_BYTES: usize = 256 * 1024;

/// How bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    None,
    /// RFC 1952, one member after another.
    Gzip,
    /// RFC 8878, one frame after another.
    Zstd,
}

impl Packing {
    /// What the first bytes of a file say.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or one of the skippable frames with which parallel packers begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Its name; None where nothing is packed.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// What came of asking for more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// There are more than before.
    More,
    /// None came in time.
    Late,
    /// There are no more.
    End,
}

/// The unpacked bytes of a file or a pipe.
pub struct Input {
    unpacked: Unpacked,
    packing: Packing,
    window: Vec<u8>,
    start: usize,
    end: usize,
    failure: Option<String>,
}

enum Unpacked {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Raw>>>),
}

impl Input {
    /// Looks at the first bytes to see how the rest is packed. `limit_bytes`: where a file that may still grow is taken to end.
    ///
    /// # Errors
    /// Nothing can be read.
    pub fn new(file: File, limit_bytes: Option<u64>) -> io::Result<Self> {
        let mut raw = Raw { file, limit: limit_bytes.unwrap_or(u64::MAX), taken: 0, head: Vec::new(), deadline: None };
        let mut head = Vec::new();
        (&mut raw).take(4).read_to_end(&mut head)?;
        raw.taken = 0;
        let packing = Packing::of(&head);
        raw.head = head;
        let unpacked = match packing {
            Packing::None => Unpacked::Plain(raw),
            Packing::Gzip => Unpacked::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, raw)))),
            Packing::Zstd => Unpacked::Zstd(Box::new(zstd::Decoder::with_buffer(BufReader::with_capacity(READ_BYTES, raw))?)),
        };
        Ok(Self { unpacked, packing, window: Vec::new(), start: 0, end: 0, failure: None })
    }

    /// The bytes that have come and have not been used up.
    pub fn held(&self) -> &[u8] {
        self.window.get(self.start..self.end).unwrap_or_default()
    }

    /// So many of the bytes held are used up.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Takes more bytes in behind those that are held; where a pipe has none, waits until `deadline`, without one for ever.
    pub fn fill(&mut self, deadline: Option<Instant>) -> Filled {
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Grows only for a record that is longer than the window; the capture formats bound those.
        if self.window.len() < self.end + READ_BYTES {
            self.window.resize(self.end + READ_BYTES, 0);
        }
        self.raw().deadline = deadline;
        let room = self.window.get_mut(self.end..).unwrap_or_default();
        let read = match &mut self.unpacked {
            Unpacked::Plain(raw) => raw.read(room),
            Unpacked::Gzip(decoder) => decoder.read(room),
            Unpacked::Zstd(decoder) => decoder.read(room),
        };
        match read {
            Ok(0) => Filled::End,
            Ok(count) => {
                self.end += count;
                Filled::More
            }
            // A signal: the caller looks at what it means.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Filled::Late,
            Err(error) => {
                self.failure = Some(error.to_string());
                Filled::End
            }
        }
    }

    /// What ended it early.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How the bytes are packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Bytes of the file taken, as they are on disk.
    pub fn taken(&mut self) -> u64 {
        self.raw().taken
    }

    /// The file itself.
    pub fn file(&mut self) -> &File {
        &self.raw().file
    }

    fn raw(&mut self) -> &mut Raw {
        match &mut self.unpacked {
            Unpacked::Plain(raw) => raw,
            Unpacked::Gzip(decoder) => decoder.get_mut().get_mut(),
            Unpacked::Zstd(decoder) => decoder.get_mut().get_mut(),
        }
    }
}

/// A file or a pipe. Its `read` gives up at the deadline with `WouldBlock`, after which the decoders go on where they were.
struct Raw {
    file: File,
    /// Bytes after which it ends.
    limit: u64,
    taken: u64,
    /// First bytes, which have been looked at and are to be read again.
    head: Vec<u8>,
    deadline: Option<Instant>,
}

impl Read for Raw {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = if self.head.is_empty() {
            let left = usize::try_from(self.limit - self.taken.min(self.limit)).unwrap_or(usize::MAX);
            let room = room.get_mut(..left.min(room.len())).unwrap_or_default();
            // A plain file is always ready.
            if let Some(deadline) = self.deadline {
                self.wait(deadline)?;
            }
            self.file.read(room)?
        } else {
            let count = self.head.as_slice().read(room)?;
            self.head.drain(..count);
            count
        };
        self.taken += count as u64;
        Ok(count)
    }
}

impl Raw {
    fn wait(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&timeout))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}
