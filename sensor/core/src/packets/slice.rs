//! Packets out of rings: those of some conversations, in a span of time, as a pcapng file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use hashbrown::HashSet;
use wire::packet::{Address, LinkType, Packet};

use super::block::{self, Block};
use super::index::{Conversation, Index, Kind, Pair, Summary};
use super::{INDEX, mask, ring};

/// Most bytes that are read at a time: what lies close together is read once.
const WINDOW_BYTES: usize = 256 * 1024;
/// Packets that are no farther from one another lie close together: reading what is between them costs less than a read of its own.
const CLOSE_BYTES: u64 = 16 * 1024;
/// Bytes that are read for the last packet of those that lie close together; for a longer one it is read once more.
const LAST_BYTES: usize = 2 * 1024;
/// Bytes at the start of a segment in which its interfaces are described first.
const HEAD_BYTES: usize = 64 * 1024;
/// Threads that look into indexes, each its own share of the segments: what they wait for is the disk.
const SEEKERS: usize = 4;
/// Segments that each of them may be ahead of reading, so that a disk has much to fetch side by side and little is held.
const AHEAD: usize = 2;

/// Which packets.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Community IDs of conversations.
    pub flows: Vec<String>,
    /// Two addresses, what runs between them; or one, with None for any other.
    pub pairs: Vec<(Address, Option<Address>)>,
    /// Earliest time, nanoseconds since 1970.
    pub from: i64,
    /// Latest time.
    pub to: i64,
    /// Most bytes of packets.
    pub limit: usize,
    /// Whether bytes that carry values become zeros (`mask`).
    pub masks: bool,
}

/// A segment that packets were taken from.
#[derive(Clone, Debug)]
pub struct Part {
    /// File.
    pub path: PathBuf,
    /// What it holds; of an open segment, what it held then.
    pub summary: Summary,
    /// Packets that were taken from it.
    pub packets: u64,
}

/// What a query found.
#[derive(Debug, Default)]
pub struct Slice {
    /// The pcapng file.
    pub file: Vec<u8>,
    /// Number of packets.
    pub packets: u64,
    /// Time of the first and of the last packet.
    pub span: Option<(i64, i64)>,
    /// Where they came from, in order.
    pub parts: Vec<Part>,
    /// Whether there are more than the limit allows.
    pub is_limited: bool,
}

/// A packet found.
struct Found {
    ts: i64,
    link: LinkType,
    original_length: u32,
    start: usize,
    length: usize,
}

#[derive(Default)]
struct Collected {
    found: Vec<Found>,
    data: Vec<u8>,
    parts: Vec<Part>,
    is_limited: bool,
    /// Packets of the folders before, which are not taken again: time and hash of the data.
    seen: HashSet<(i64, [u8; 16])>,
}

impl Collected {
    fn hashes(&self) -> HashSet<(i64, [u8; 16])> {
        let data = |found: &Found| self.data.get(found.start..found.start + found.length).unwrap_or_default();
        self.found.iter().map(|found| (found.ts, hash(data(found)))).collect()
    }
}

fn hash(data: &[u8]) -> [u8; 16] {
    blake3::hash(data).as_bytes().first_chunk::<16>().copied().unwrap_or_default()
}

/// The packets that a query names, in order of time. Each folder is asked for its own span: (folder, from, to), within the query's.
///
/// # Errors
/// A folder cannot be read. A segment that is removed meanwhile, or damaged, is passed over.
pub fn slice(folders: &[(PathBuf, i64, i64)], query: &Query, comment: &str) -> io::Result<Slice> {
    let mut all = Collected::default();
    for (number, (folder, from, to)) in folders.iter().enumerate() {
        if number > 0 {
            all.seen = all.hashes();
        }
        let span = (query.from.max(*from), query.to.min(*to));
        let paths = ring::segments(folder)?;
        thread::scope(|scope| {
            let seekers: Vec<_> = (0..SEEKERS)
                .map(|first| {
                    let (sender, seeker) = mpsc::sync_channel(AHEAD);
                    let share = paths.iter().skip(first).step_by(SEEKERS);
                    scope.spawn(move || {
                        for path in share {
                            if sender.send(seek(path, span, query)).is_err() {
                                break;
                            }
                        }
                    });
                    seeker
                })
                .collect();
            for (path, seeker) in paths.iter().zip(seekers.iter().cycle()) {
                if all.is_limited {
                    break;
                }
                // What has been removed meanwhile is no longer there.
                if let Ok(Ok(Some(sought))) = seeker.recv() {
                    drop(collect(path, sought, span, &mut all, query.limit));
                }
            }
        });
    }
    let Collected { mut found, mut data, parts, is_limited, .. } = all;
    // The sort is stable: packets of one time stay in the order in which they came.
    found.sort_by_key(|found| found.ts);
    let mut file = Vec::with_capacity(data.len() + found.len() * block::PACKET_BYTES + 4096);
    block::section(&mut file, comment);
    let mut links: Vec<LinkType> = Vec::new();
    for found in &found {
        if !links.contains(&found.link) {
            links.push(found.link);
            block::interface(&mut file, found.link);
        }
    }
    let mut blanker = mask::Mask::default();
    for Found { ts, link, original_length, start, length } in &found {
        let Some(data) = data.get_mut(*start..start + length) else { continue };
        if query.masks {
            blanker.packet(*ts, *link, *original_length, data);
        }
        let interface = links.iter().position(|known| known == link).unwrap_or_default() as u32;
        block::packet(&mut file, interface, &Packet { ts: *ts, link: *link, original_length: *original_length, data });
    }
    let span = found.first().zip(found.last()).map(|(first, last)| (first.ts, last.ts));
    Ok(Slice { file, packets: found.len() as u64, span, parts, is_limited })
}

fn open(path: &Path) -> io::Result<Index> {
    Index::open(&path.with_extension(INDEX)).or_else(|_| ring::scan(path))
}

/// What a segment has of a query's packets.
struct Sought {
    summary: Summary,
    /// Where they are, in order; at least one.
    places: Vec<u64>,
    segment: Window,
}

/// Looks for a query's packets in a segment's index, and asks the system for them; None where there are none.
fn seek(path: &Path, (from, to): (i64, i64), query: &Query) -> io::Result<Option<Sought>> {
    let index = open(path)?;
    if index.summary.packets == 0 || index.summary.last < from || index.summary.first > to {
        return Ok(None);
    }
    let takes_all = query.flows.is_empty() && query.pairs.is_empty();
    let wanted: Vec<&Conversation> = index.conversations.iter().filter(|known| takes_all || query.names(known)).collect();
    // Fragments have no ports: those between the same addresses belong to it.
    let between: Vec<_> = wanted.iter().map(|known| known.pair.endpoints.map(|endpoint| endpoint.address)).collect();
    let portless = |known: &&Conversation| {
        known.pair.kind == Kind::Other && between.contains(&known.pair.endpoints.map(|endpoint| endpoint.address))
    };
    let mut places = Vec::new();
    for known in wanted.iter().copied().chain(index.conversations.iter().filter(portless)) {
        if known.last >= from && known.first <= to {
            index.places(known, &mut places)?;
        }
    }
    places.sort_unstable();
    places.dedup();
    if places.is_empty() {
        return Ok(None);
    }
    let segment = Window { file: File::open(path)?, start: 0, bytes: Vec::new(), end: index.summary.bytes };
    segment.announce(&places);
    Ok(Some(Sought { summary: index.summary, places, segment }))
}

fn collect(path: &Path, sought: Sought, (from, to): (i64, i64), all: &mut Collected, limit: usize) -> io::Result<()> {
    let Sought { summary, places, mut segment } = sought;
    let mut links = segment.links(places.first().copied().unwrap_or_default())?;
    let before = all.found.len();
    for number in 0..places.len() {
        let ahead = places.get(number..).unwrap_or_default();
        let place = ahead.first().copied().unwrap_or_default();
        match segment.block(ahead)? {
            Some(Block::Packet { interface, ts, original_length, data }) if (from..=to).contains(&ts) => {
                if !all.seen.is_empty() && all.seen.contains(&(ts, hash(data))) {
                    continue;
                }
                if all.data.len() + data.len() > limit {
                    all.is_limited = true;
                    break;
                }
                let start = all.data.len();
                all.data.extend_from_slice(data);
                let length = data.len();
                if links.get(interface as usize).is_none() {
                    // An interface that was described in the midst of the segment.
                    links = segment.links(place)?;
                }
                let Some(&link) = links.get(interface as usize) else { continue };
                all.found.push(Found { ts, link, original_length, start, length });
            }
            _ => {}
        }
    }
    let packets = (all.found.len() - before) as u64;
    if packets > 0 {
        all.parts.push(Part { path: path.to_owned(), summary, packets });
    }
    Ok(())
}

impl Query {
    fn names(&self, known: &Conversation) -> bool {
        let Pair { endpoints: [low, high], .. } = known.pair;
        let is_between = |(one, other): &(Address, Option<Address>)| match other {
            Some(other) => (low.address, high.address) == (*one, *other) || (low.address, high.address) == (*other, *one),
            None => low.address == *one || high.address == *one,
        };
        self.flows.iter().any(|flow| flow.as_bytes() == known.community_id) || self.pairs.iter().any(is_between)
    }
}

/// How many of these places, the first ones, lie close together, and the bytes from the first of them that hold them as a rule.
fn close(places: &[u64]) -> (usize, usize) {
    let Some(&start) = places.first() else { return (0, 0) };
    let is_close =
        |pair: &&[u64]| matches!(pair, [one, next] if next - one <= CLOSE_BYTES && next - start <= WINDOW_BYTES as u64);
    let count = 1 + places.windows(2).take_while(is_close).count();
    let last = places.get(count - 1).copied().unwrap_or(start);
    (count, usize::try_from(last - start).unwrap_or(WINDOW_BYTES) + LAST_BYTES)
}

/// A segment, read through a window.
struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
    end: u64,
}

impl Window {
    /// Tells the system which parts of the file will be read, so that a disk can fetch them side by side.
    fn announce(&self, mut places: &[u64]) {
        let will_read = |place, length| {
            // Advice: where it is not taken the parts are read as they come.
            let _ = rustix::fs::fadvise(&self.file, place, std::num::NonZeroU64::new(length), rustix::fs::Advice::WillNeed);
        };
        will_read(0, HEAD_BYTES as u64);
        while let Some(&place) = places.first() {
            let (count, length) = close(places);
            will_read(place, length as u64);
            places = places.get(count..).unwrap_or_default();
        }
    }

    /// The block at the first of these places, which are those still to come in order; None where there is no whole one.
    fn block(&mut self, places: &[u64]) -> io::Result<Option<Block<'_>>> {
        let Some(&place) = places.first() else { return Ok(None) };
        let mut needed = 0;
        loop {
            let at = place.checked_sub(self.start).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < self.bytes.len());
            let is_whole = at.and_then(|at| self.bytes.get(at..)).and_then(block::read).is_some();
            if is_whole {
                break;
            }
            if needed > wire::capture::BLOCK_BYTES {
                return Ok(None);
            }
            needed = if needed == 0 { close(places).1 } else { needed.max(WINDOW_BYTES / 8) * 8 };
            self.load(place, needed)?;
        }
        let at = usize::try_from(place - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(at..).and_then(block::read).map(|(block, _)| block))
    }

    fn load(&mut self, place: u64, length: usize) -> io::Result<()> {
        let length = usize::try_from(self.end.saturating_sub(place)).unwrap_or(usize::MAX).min(length);
        self.bytes.resize(length, 0);
        self.start = place;
        if let Err(error) = self.file.read_exact_at(&mut self.bytes, place) {
            self.bytes.clear();
            return Err(error);
        }
        Ok(())
    }

    /// Link types of the interfaces that are described before a place.
    fn links(&mut self, until: u64) -> io::Result<Vec<LinkType>> {
        let (mut links, mut place) = (Vec::new(), 0);
        self.load(0, HEAD_BYTES)?;
        while place < until {
            let at = place.saturating_sub(self.start) as usize;
            let Some((block, length)) = self.bytes.get(at..).and_then(block::read) else {
                if self.start == place {
                    // Longer than what was loaded: once more, with room for the longest packet.
                    self.load(place, wire::capture::RECORD_BYTES + WINDOW_BYTES)?;
                    if self.bytes.get(..).and_then(block::read).is_none() {
                        break;
                    }
                } else {
                    self.load(place, WINDOW_BYTES)?;
                }
                continue;
            };
            if let Block::Interface(link) = block {
                links.push(link);
            }
            place += length as u64;
        }
        Ok(links)
    }
}
