//! The folder of a ring: its segments, oldest first, and the quota that they keep to.
//!
//! A quarter of the quota is for pinned packets (`sensor.packets`), the rest for segments: neither can push the other over the quota.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use wire::packet::{Decoder, LinkType, Packet};

use super::block::{self, Block};
use super::index::{Builder, Index};
use super::{INDEX, QUOTA_BYTES_LEAST, SEGMENT, SEGMENT_BYTES, SEGMENT_BYTES_LEAST};

/// Segments that share the quota at least: with fewer, a new one would push out most of what there is.
const SEGMENTS: u64 = 8;

/// A ring that packets are written to.
pub struct Ring {
    folder: PathBuf,
    epoch: String,
    comment: String,
    share: u64,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Packets that were not kept.
    lost: AtomicU64,
    /// Segments removed to make room.
    removed: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
}

struct State {
    next: u64,
    closed: VecDeque<Closed>,
    open: u64,
}

struct Closed {
    path: PathBuf,
    bytes: u64,
}

/// A segment that is written to.
pub struct Segment {
    path: PathBuf,
    file: File,
    length: u64,
    hash: Sha256,
    index: Builder,
}

impl Ring {
    /// Opens the ring of a folder, which is made where it is missing. What a kill has left half written is cut to its last whole packet.
    /// Segments of the same epoch are removed first where `anew` says that the source begins again.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, quota: u64, sensor: &str, epoch: &str, workers: usize, anew: bool) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let share = quota.max(QUOTA_BYTES_LEAST) / 4 * 3;
        let workers = workers.max(1) as u64;
        let segment_bytes = (share / SEGMENTS / workers).clamp(SEGMENT_BYTES_LEAST, SEGMENT_BYTES);
        let epoch: String = epoch.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let mut state = State { next: 0, closed: VecDeque::new(), open: 0 };
        for path in segments(folder)? {
            state.next = state.next.max(number(&path).map_or(0, |number| number.saturating_add(1)));
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if anew && stem.ends_with(&epoch) {
                remove(&path)?;
                continue;
            }
            if Index::open(&path.with_extension(INDEX)).is_err() {
                // An index that cannot be written is made anew by whoever reads.
                drop(restore(&path));
            }
            state.closed.push_back(Closed { bytes: bytes_of(&path), path });
        }
        let comment = format!("packets seen by sensor {sensor}, epoch {epoch}");
        let ring = Self {
            folder: folder.to_owned(),
            epoch,
            comment,
            share,
            segment_bytes,
            state: Mutex::new(state),
            lost: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            written: AtomicU64::new(0),
        };
        ring.make_room(&mut ring.state(), 0);
        Ok(ring)
    }

    /// Begins a segment; the oldest ones make room for it.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn begin(&self, links: &[LinkType]) -> io::Result<Segment> {
        let mut state = self.state();
        self.make_room(&mut state, self.segment_bytes);
        let path = self.folder.join(format!("{:012}-{}.{SEGMENT}", state.next, self.epoch));
        state.next += 1;
        let begun = Segment::create(&path, &self.comment, links);
        if let Ok(segment) = &begun {
            state.open += 1;
            self.count_written(segment.length);
        } else {
            // The disk is full of something else: the ring gives way.
            drop(fs::remove_file(&path));
            self.drop_oldest(&mut state);
        }
        begun
    }

    /// Ends a segment and writes its index.
    pub fn close(&self, segment: Segment) {
        let Segment { path, file, length, hash, index } = segment;
        drop(file);
        let index = index.finish(length, hash.finalize().into());
        // Without an index it is only slower to read.
        drop(write_index(&path, &index));
        self.count_written(bytes_of(&path.with_extension(INDEX)));
        self.closed(path);
    }

    /// Ends a segment that the disk has refused: it is cut to its last whole packet, and the oldest segment makes room.
    pub fn give_up(&self, segment: Segment) {
        let path = segment.path.clone();
        drop(segment);
        let mut state = self.state();
        self.drop_oldest(&mut state);
        drop(state);
        drop(restore(&path));
        self.closed(path);
    }

    fn closed(&self, path: PathBuf) {
        let bytes = bytes_of(&path);
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
        let place = state.closed.partition_point(|other| other.path < path);
        state.closed.insert(place, Closed { path, bytes });
        self.make_room(&mut state, 0);
    }

    fn make_room(&self, state: &mut State, bytes: u64) {
        while !state.closed.is_empty() {
            let used = state.closed.iter().fold(0_u64, |sum, closed| sum.saturating_add(closed.bytes));
            if used + state.open * self.segment_bytes + bytes <= self.share {
                break;
            }
            self.drop_oldest(state);
        }
    }

    fn drop_oldest(&self, state: &mut State) {
        if let Some(oldest) = state.closed.pop_front() {
            drop(remove(&oldest.path));
            self.removed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a segment has room for a block of so many bytes, and for its index.
    pub fn has_room(&self, segment: &Segment, bytes: usize) -> bool {
        let used = segment.length + segment.index.bytes() + bytes as u64 + 256;
        segment.index.packets() == 0 || !segment.index.is_full() && used <= self.segment_bytes
    }

    /// Packets that were not kept.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts packets that were not kept.
    pub fn count_lost(&self, packets: u64) {
        self.lost.fetch_add(packets, Ordering::Relaxed);
    }

    /// Segments removed to make room.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// Bytes written since it was opened, segments and their indexes.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Counts bytes that were written.
    pub fn count_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn create(path: &Path, comment: &str, links: &[LinkType]) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut segment = Self { path: path.to_owned(), file, length: 0, hash: Sha256::new(), index: Builder::default() };
        let mut head = Vec::new();
        block::section(&mut head, comment);
        for link in links {
            block::interface(&mut head, *link);
        }
        segment.write(&head)?;
        Ok(segment)
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes a packet into the index whose block will lie at this place.
    pub fn index(&mut self, decoder: &mut Decoder, place: u64, packet: &Packet<'_>) {
        self.index.add(decoder, place, packet);
    }

    /// Writes whole blocks.
    ///
    /// # Errors
    /// The disk has not taken all of them.
    pub fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.file.write_all(blocks)?;
        self.hash.update(blocks);
        self.length += blocks.len() as u64;
        Ok(())
    }
}

/// The segments of a folder, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == SEGMENT) && number(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A segment's index, made anew from its packets, up to the last whole block.
///
/// # Errors
/// The segment cannot be read.
pub fn scan(path: &Path) -> io::Result<Index> {
    let content = fs::read(path)?;
    let (mut builder, mut decoder, mut links) = (Builder::default(), Decoder::default(), Vec::new());
    let mut place = 0;
    while let Some((block, length)) = content.get(place..).and_then(block::read) {
        match block {
            Block::Interface(link) => links.push(link),
            Block::Packet { interface, ts, original_length, data } => {
                if let Some(&link) = links.get(interface as usize) {
                    builder.add(&mut decoder, place as u64, &Packet { ts, link, original_length, data });
                }
            }
            Block::Other => {}
        }
        place += length;
    }
    let hash = Sha256::digest(content.get(..place).unwrap_or_default());
    Ok(builder.finish(place as u64, hash.into()))
}

/// Cuts a segment to its last whole block, and writes its index.
fn restore(path: &Path) -> io::Result<()> {
    let index = scan(path)?;
    if index.summary.packets == 0 {
        return remove(path);
    }
    OpenOptions::new().write(true).open(path)?.set_len(index.summary.bytes)?;
    write_index(path, &index)
}

fn write_index(path: &Path, index: &Index) -> io::Result<()> {
    let draft = path.with_extension("part");
    // Who talked with whom is for the same eyes as what was said.
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(&draft)
        .and_then(|mut file| file.write_all(&index.encode()))
        .and_then(|()| fs::rename(&draft, path.with_extension(INDEX)));
    if written.is_err() {
        drop(fs::remove_file(&draft));
    }
    written
}

fn remove(path: &Path) -> io::Result<()> {
    drop(fs::remove_file(path.with_extension(INDEX)));
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn bytes_of(path: &Path) -> u64 {
    [path.to_owned(), path.with_extension(INDEX)].iter().map(|path| fs::metadata(path).map_or(0, |found| found.len())).sum()
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.split('-').next()?.parse().ok()
}
