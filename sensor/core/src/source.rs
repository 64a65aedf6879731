//! Where captures come from: files and pipes, plain, gzip or zstd.
//!
//! Files are read, not mapped into memory: as fast (the page cache is copied through a window that stays in the processor's cache), memory stays
//! small however long the file is, and a file that another process shortens meanwhile is a warning instead of a fatal signal.

mod input;
mod mistaken;
#[cfg(test)]
mod tests;

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use input::{Filled, Input};
use wire::capture::{self, Capture, Opening, Step};
use wire::packet::{LinkType, Packet};

/// Bytes needed to tell what a file is that is no capture.
const OPENING_BYTES: usize = 512;
/// Link types whose packets are counted apart when they are passed over.
const UNKNOWN_LINKS: usize = 16;
/// How long a caller that must look at signals waits at most.
pub const PATIENCE: Duration = Duration::from_millis(100);

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
    input: Input,
    capture: Capture,
    format: String,
    epoch: Option<String>,
    /// What the file was when it was opened; None for a pipe.
    opened: Option<Metadata>,
    /// Bytes of the (unpacked) capture used up.
    used: u64,
    packets: u64,
    is_over: bool,
    /// Link type of the last packet.
    link: LinkType,
    unknown_links: Vec<(LinkType, u64)>,
    warnings: Vec<String>,
}

/// Why reading stopped at a place.
enum Stop {
    Budget,
    Pause,
    NeedMore,
    Broken(String),
}

impl Source {
    /// Opens a capture file, or standard input for "-".
    ///
    /// # Errors
    /// It cannot be opened, is no capture, or nothing of it can be read.
    pub fn open(path: &str) -> Result<Self, SourceError> {
        if path == "-" {
            let name = "standard input";
            let descriptor = io::stdin().as_fd().try_clone_to_owned().map_err(|error| unreadable(name, &error))?;
            return Self::begin(name, File::from(descriptor), None);
        }
        let fail = |error: &io::Error| unreadable(path, error);
        let mut file = File::open(path).map_err(|error| fail(&error))?;
        let metadata = file.metadata().map_err(|error| fail(&error))?;
        if metadata.is_dir() {
            return Err(SourceError(format!("{path}: a directory, not a capture file. Name the files in it.")));
        }
        if !metadata.is_file() {
            return Self::begin(path, file, None);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(io::Read::take(&file, metadata.len())).map_err(|error| fail(&error))?;
        file.rewind().map_err(|error| fail(&error))?;
        let mut source = Self::begin(path, file, Some(metadata))?;
        source.epoch = Some(hasher.finalize().to_hex().chars().take(32).collect());
        source.first_packet()?;
        Ok(source)
    }

    fn begin(name: &str, file: File, opened: Option<Metadata>) -> Result<Self, SourceError> {
        let fail = |error: &io::Error| unreadable(name, error);
        let mut input = Input::new(file, opened.as_ref().map(Metadata::len)).map_err(|error| fail(&error))?;
        let mut has_more = true;
        let (capture, used) = loop {
            let held = input.held();
            match capture::open(held) {
                Opening::Capture(capture, used) => break (capture, used),
                Opening::NeedMore(_) if has_more => {}
                Opening::Unknown if has_more && held.len() < OPENING_BYTES => {}
                opening => {
                    let is_cut = matches!(opening, Opening::NeedMore(_));
                    return Err(SourceError(match (input.failure(), input.packing().name()) {
                        (Some(reason), Some(_)) => {
                            format!("{name}: cannot be unpacked: {reason}. Check whether it was copied whole.")
                        }
                        (Some(reason), None) => format!("{name}: cannot be read: {reason}. Check the disk and the path."),
                        (None, packing) => mistaken::no_capture(name, held, is_cut, packing),
                    }));
                }
            }
            has_more = input.fill(None) != Filled::End;
        };
        input.consume(used);
        let format =
            input.packing().name().map_or_else(|| capture.name().to_owned(), |packing| format!("{}, {packing}", capture.name()));
        if let Some(link) = capture.link()
            && !link.is_known()
        {
            return Err(SourceError(format!("{name}: link type {link} is not known. {}", mistaken::KNOWN_LINKS)));
        }
        Ok(Self {
            name: name.to_owned(),
            input,
            capture,
            format,
            epoch: None,
            opened,
            used: used as u64,
            packets: 0,
            is_over: false,
            link: LinkType::ETHERNET,
            unknown_links: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Goes to the first packet of a file, so that a file of which nothing can be read is an error and no warning.
    fn first_packet(&mut self) -> Result<(), SourceError> {
        let reason = loop {
            let used = match self.capture.next(self.input.held()) {
                Step::Packet(..) => return Ok(()),
                Step::Skip(used) => used,
                Step::NeedMore(_) => 0,
                Step::Broken(reason) => break reason,
            };
            self.input.consume(used);
            self.used += used as u64;
            if used == 0 && self.input.fill(None) == Filled::End {
                match (self.input.failure(), self.input.held().is_empty()) {
                    (Some(reason), _) => break reason.to_owned(),
                    (None, true) => return Ok(()),
                    (None, false) => break "it ends inside its first packet".to_owned(),
                }
            }
        };
        let (name, used) = (&self.name, self.used);
        Err(SourceError(format!(
            "{name}: nothing can be read, damaged at byte {used}: {reason}. Capture again, or repair it with pcapfix."
        )))
    }

    /// Gives up to `budget` packets to `sink`; a pipe is waited for until `deadline`. `sink` says whether it wants more now.
    pub fn read(&mut self, budget: usize, deadline: Option<Instant>, mut sink: impl FnMut(&Packet<'_>) -> bool) -> Progress {
        let mut left = budget;
        while !self.is_over {
            let held = self.input.held();
            let mut rest = held;
            let stop = loop {
                // What is skipped counts too, lest a file of nothing but unknown blocks be read without a pause.
                if left == 0 {
                    break Stop::Budget;
                }
                match self.capture.next(rest) {
                    Step::Packet(packet, used) => {
                        rest = rest.get(used..).unwrap_or_default();
                        left -= 1;
                        self.packets += 1;
                        if packet.link != self.link || !self.unknown_links.is_empty() {
                            self.link = packet.link;
                            count_unknown(&mut self.unknown_links, packet.link);
                        }
                        if !sink(&packet) {
                            break Stop::Pause;
                        }
                    }
                    Step::Skip(used) => {
                        rest = rest.get(used..).unwrap_or_default();
                        left -= 1;
                    }
                    Step::NeedMore(_) => break Stop::NeedMore,
                    Step::Broken(reason) => break Stop::Broken(reason),
                }
            };
            let used = held.len() - rest.len();
            self.input.consume(used);
            self.used += used as u64;
            match stop {
                Stop::Budget | Stop::Pause => return Progress::More,
                Stop::NeedMore => match self.input.fill(deadline) {
                    Filled::More => {}
                    Filled::Late => return Progress::More,
                    Filled::End => self.end(None),
                },
                Stop::Broken(reason) => self.end(Some(reason)),
            }
        }
        Progress::End
    }

    /// Says what could not be read.
    fn end(&mut self, reason: Option<String>) {
        self.is_over = true;
        let (name, used, packets) = (&self.name, self.used, self.packets);
        let unpacked = if self.input.packing().name().is_some() { " of what was unpacked" } else { "" };
        let reason = reason.or_else(|| self.input.failure().map(str::to_owned));
        if let Some(reason) = reason {
            self.warnings.push(format!(
                "{name}: damaged at byte {used}{unpacked}: {reason}; the {packets} packets before it were read. Repair it, or capture again."
            ));
        } else if !self.input.held().is_empty() {
            self.warnings.push(format!(
                "{name}: cut off in the middle of a packet at byte {used}{unpacked}; the {packets} packets before it were read."
            ));
        }
        for (link, count) in &self.unknown_links {
            self.warnings
                .push(format!("{name}: {count} packets of link type {link} were passed over. {}", mistaken::KNOWN_LINKS));
        }
        let passed_over = self.capture.passed_over();
        if passed_over > 0 {
            self.warnings
                .push(format!("{name}: {passed_over} packets of interfaces that it does not describe were passed over."));
        }
        if let (Some(opened), Ok(now)) = (&self.opened, self.input.file().metadata())
            && (opened.len() != now.len() || opened.modified().ok() != now.modified().ok())
        {
            self.warnings.push(format!("{name}: changed while it was read. Read it again when it is finished."));
        }
    }

    /// What the capture is, as in "pcapng, zstd".
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Bytes of the file on disk; None for a pipe.
    pub fn size(&self) -> Option<u64> {
        self.opened.as_ref().map(Metadata::len)
    }

    /// Bytes of the file on disk taken in.
    pub fn position(&mut self) -> u64 {
        self.input.taken()
    }

    /// Packets given so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// What could not be read, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// First 16 bytes of the BLAKE3 hash of the file as it is on disk, in hexadecimal; None for a pipe.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }
}

#[inline(never)]
fn count_unknown(unknown: &mut Vec<(LinkType, u64)>, link: LinkType) {
    if link.is_known() {
        return;
    }
    if let Some((_, count)) = unknown.iter_mut().find(|(seen, _)| *seen == link) {
        *count += 1;
    } else if unknown.len() < UNKNOWN_LINKS {
        unknown.push((link, 1));
    }
}

fn unreadable(name: &str, error: &io::Error) -> SourceError {
    SourceError(match error.kind() {
        io::ErrorKind::NotFound => format!("{name}: no such file. Check the path."),
        io::ErrorKind::PermissionDenied => format!("{name}: permission denied. Run as a user who may read it."),
        _ => format!("{name}: cannot be read: {error}. Check the disk and the path."),
    })
}
