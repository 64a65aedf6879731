//! Packets to conversations: opening, order, end, and what has to happen at its time.

use std::collections::VecDeque;

use super::output::Output;
use super::talk::{self, Talk};
use super::tcp;
use crate::packet::{Address, Datagram, Frame, Opening, Segment, flags};
use crate::protocol::Carrier;
use crate::protocol::opcua::chunk::HELD_BYTES;
use crate::protocol::signature::{Application, registry};
use crate::record::table::Transport;
use crate::transport::{Class, Ending, Endpoint, Flow, FlowId, FlowKey, Flows, Handshake};

/// Time between two rows of a conversation's state, in nanoseconds of packet time.
const REPORT_NS: i64 = 60_000_000_000;
/// How long bytes wait that answer something not seen yet: captures of two directions are merged with less disorder than this.
const HOLD_NS: i64 = 10_000_000;
/// How long bytes wait for those in front of them, when nobody acknowledges that they have come.
const GAP_NS: i64 = 1_000_000_000;
/// How long a conversation that waits for something sleeps at most: the queue of these is in order of their wakening only as far as none
/// sleeps much longer than the others.
const NAP_NS: i64 = 5_000_000_000;
/// How often silence is looked for.
const SWEEP_NS: i64 = 1_000_000_000;

/// A packet's parties and time.
pub(super) struct Meeting {
    pub ts: i64,
    pub source: Address,
    pub destination: Address,
    pub source_mac: Option<[u8; 6]>,
    pub destination_mac: Option<[u8; 6]>,
    pub vlan: Option<u16>,
}

/// All conversations, and the queues of what has to happen at its time.
pub(super) struct Conversations {
    pub flows: Flows<Talk>,
    /// Time that conversations go by: the packets', which may be set back.
    now: i64,
    swept: i64,
    held: VecDeque<(i64, FlowId)>,
    gaps: VecDeque<(i64, FlowId)>,
    deadlines: VecDeque<(i64, FlowId)>,
}

impl Conversations {
    pub fn new(limit: usize) -> Self {
        let queue = VecDeque::new;
        Self { flows: Flows::new(limit), now: i64::MIN, swept: i64::MIN, held: queue(), gaps: queue(), deadlines: queue() }
    }

    /// Bytes held, without what the counters of held bytes tell.
    pub fn bytes(&self) -> usize {
        let queues = self.held.capacity() + self.gaps.capacity() + self.deadlines.capacity();
        let flows = self.flows.iter().map(|flow| flow.bytes() + flow.application.bytes()).sum::<usize>();
        self.flows.bytes() + queues * size_of::<(i64, FlowId)>() + flows
    }

    /// Packet time is `ts` now: whatever is due happens.
    #[inline]
    pub fn tick(&mut self, ts: i64, output: &mut Output) {
        if ts < self.now {
            // A little disorder is normal; more means that the clock was set back, and nothing due before makes sense any more.
            if self.now.saturating_sub(ts) <= REPORT_NS {
                return;
            }
            self.now = ts;
            self.flush(output);
        }
        self.now = ts;
        let due = |queue: &VecDeque<(i64, FlowId)>| queue.front().is_some_and(|(at, _)| *at <= ts);
        if due(&self.held)
            || due(&self.gaps)
            || due(&self.deadlines)
            || ts.saturating_sub(self.swept).saturating_abs() >= SWEEP_NS
        {
            self.due(output);
        }
    }

    #[inline(never)]
    fn due(&mut self, output: &mut Output) {
        let now = self.now;
        let take = |queue: &mut VecDeque<(i64, FlowId)>| {
            let is_due = queue.front().is_some_and(|(at, _)| *at <= now);
            is_due.then(|| queue.pop_front()).flatten().map(|(_, id)| id)
        };
        while let Some(id) = take(&mut self.held) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.application.is_held = false;
                tcp::release(flow, now, output);
            }
        }
        while let Some(id) = take(&mut self.gaps) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.application.is_awaited = false;
                tcp::give_up_gaps(flow, now, output);
            }
        }
        // One round: what is armed anew is due later.
        for _ in 0..self.deadlines.len() {
            let Some(id) = take(&mut self.deadlines) else {
                break;
            };
            self.expire(id, now, output);
        }
        if now.saturating_sub(self.swept).saturating_abs() >= SWEEP_NS {
            self.swept = now;
            while let Some(id) = self.flows.silent(now) {
                if !self.tell_unspoken(id, output) {
                    self.end(id, Some(Ending::Expired), output);
                }
            }
        }
    }

    /// Tells of a silent conversation that nothing was said in. Returns whether it is one: who takes all connections that a controller has
    /// shows within a minute, and not when the sensor gives them up.
    fn tell_unspoken(&mut self, id: FlowId, output: &mut Output) -> bool {
        let now = self.now;
        let Some(flow) = self.flows.get_mut(id).filter(|flow| class(flow) == Class::Unspoken) else {
            return false;
        };
        // As often as rows come while packets do, whenever silence is looked for.
        flow.reported_ts = flow.last_ts.saturating_add(REPORT_NS).min(now);
        talk::report(flow, false, output);
        let class = class(flow);
        self.flows.touch(id, class, now);
        class != Class::Unspoken
    }

    /// The clock was set back: nothing waits any longer.
    fn flush(&mut self, output: &mut Output) {
        let now = self.now;
        for (_, id) in std::mem::take(&mut self.held).into_iter().chain(std::mem::take(&mut self.gaps)) {
            if let Some(flow) = self.flows.get_mut(id) {
                (flow.application.is_held, flow.application.is_awaited) = (false, false);
                tcp::give_up_gaps(flow, now, output);
            }
        }
        for (at, id) in std::mem::take(&mut self.deadlines) {
            self.expire(id, at, output);
        }
    }

    fn expire(&mut self, id: FlowId, now: i64, output: &mut Output) {
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        talk::expire(flow, now, output);
        output.cut_when_full();
        flow.application.has_deadline = false;
        self.arm(id);
    }

    /// Puts a conversation into the queues that it belongs to.
    #[inline]
    fn arm(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        if !flow.application.has_deadline
            && let Some(at) = flow.application.deadline()
        {
            flow.application.has_deadline = true;
            let at = at.clamp(self.now.saturating_add(1), self.now.saturating_add(NAP_NS));
            self.deadlines.push_back((at, id));
        }
        let [low, high] = &flow.halves;
        let is_waiting = low.stream.is_waiting() || high.stream.is_waiting();
        if !is_waiting {
            return;
        }
        if !flow.application.is_held {
            flow.application.is_held = true;
            self.held.push_back((self.now.saturating_add(HOLD_NS), id));
        }
        if !flow.application.is_awaited {
            flow.application.is_awaited = true;
            self.gaps.push_back((self.now.saturating_add(GAP_NS), id));
        }
    }

    /// Ends a conversation: everything outstanding becomes rows.
    pub fn end(&mut self, id: FlowId, ending: Option<Ending>, output: &mut Output) {
        let Some(mut flow) = self.flows.remove(id) else {
            return;
        };
        let ts = flow.last_ts;
        flow.ending = flow.ending.or(ending);
        tcp::give_up_gaps(&mut flow, ts, output);
        talk::close(&mut flow, output);
        for half in &mut flow.halves {
            half.stream.discard(&mut output.counters);
        }
        talk::report(&mut flow, true, output);
    }

    /// Adds a conversation; the least valuable makes room.
    fn open(&mut self, flow: Flow<Talk>, output: &mut Output) -> FlowId {
        while self.flows.is_full()
            && let Some(least) = self.flows.least()
        {
            output.counters.flows_evicted += 1;
            self.end(least, None, output);
        }
        let class = class(&flow);
        self.flows.add(flow, class, self.now)
    }

    /// Takes a TCP segment in; of one with SYN, what it shows of its sender's stack.
    pub fn segment(&mut self, meeting: &Meeting, segment: &Segment<'_>, opening: Option<&Opening>, output: &mut Output) {
        let source = Endpoint { address: meeting.source, port: segment.source_port };
        let destination = Endpoint { address: meeting.destination, port: segment.destination_port };
        let (key, position) = FlowKey::new(source, destination, Transport::Tcp);
        let known = self.flows.find(&key);
        let id = match known.filter(|_| segment.flags & flags::SYN == 0) {
            Some(id) => id,
            None => self.opened(known, key, position, meeting.ts, segment, output),
        };
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        tcp::meet(flow, position, meeting);
        let has_payload = !segment.payload.is_empty() || segment.missing > 0;
        if tcp::advance(flow, position, meeting.ts, segment, opening, output) {
            tcp::receive(flow, position, meeting.ts, segment, has_payload, output);
        }
        self.settle(id, meeting.ts, output);
    }

    /// Takes a UDP datagram in.
    pub fn datagram(&mut self, meeting: &Meeting, datagram: &Datagram<'_>, output: &mut Output) {
        let source = Endpoint { address: meeting.source, port: datagram.source_port };
        let destination = Endpoint { address: meeting.destination, port: datagram.destination_port };
        let (key, position) = FlowKey::new(source, destination, Transport::Udp);
        let id = match self.flows.find(&key) {
            Some(id) => id,
            None => {
                let client = likely_client(&key, position, false);
                self.open(Flow::new(key, client, meeting.ts, Talk::default()), output)
            }
        };
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        tcp::meet(flow, position, meeting);
        let length = datagram.payload.len() as u64 + u64::from(datagram.missing);
        flow.half_mut(position).bytes += length;
        if datagram.missing > 0 {
            // Half a message is none.
            output.counters.datagrams_cut += 1;
        } else if length > 0 {
            talk::hear(flow, position, meeting.ts, datagram.payload, output);
        }
        self.settle(id, meeting.ts, output);
    }

    /// Takes a frame in that carries no network layer. Returns whether it is of a known protocol; otherwise it makes no conversation.
    #[inline(never)]
    pub fn frame(&mut self, meeting: &Meeting, frame: &Frame<'_>, output: &mut Output) -> bool {
        let Some(application) = registry().frame(frame.ether_type, frame.payload) else {
            return false;
        };
        // Cooked captures lack one of the addresses.
        let (source, destination) = (meeting.source_mac.unwrap_or_default(), meeting.destination_mac.unwrap_or_default());
        let (key, position) = FlowKey::ethernet(source, destination, frame.ether_type, application);
        let id = match self.flows.find(&key) {
            Some(id) => id,
            None => {
                let mut flow = Flow::new(key, position, meeting.ts, Talk::of_frames(application));
                let (sender, receiver) = flow.both_mut(position);
                // A group address is whom the frame is for: nothing above it says so.
                (sender.mac, receiver.mac) = (meeting.source_mac, meeting.destination_mac);
                self.open(flow, output)
            }
        };
        if let Some(flow) = self.flows.get_mut(id) {
            tcp::meet(flow, position, meeting);
            flow.half_mut(position).bytes += frame.payload.len() as u64 + frame.missing as u64;
            if flow.application.is_read() && frame.missing == 0 {
                talk::hear(flow, position, meeting.ts, frame.payload, output);
            }
        }
        self.settle(id, meeting.ts, output);
        true
    }

    /// What is to be done after each packet of a conversation.
    #[inline]
    fn settle(&mut self, id: FlowId, ts: i64, output: &mut Output) {
        let Some(flow) = self.flows.get_mut(id) else {
            return;
        };
        if ts.saturating_sub(flow.reported_ts) >= REPORT_NS {
            flow.reported_ts = ts;
            talk::report(flow, false, output);
        }
        let class = class(flow);
        self.arm(id);
        self.flows.touch(id, class, self.now);
        if output.shared.opcua.held_bytes > HELD_BYTES {
            self.relieve(output);
        }
    }

    /// Conversations hold more together than they may: those that hold most let go of it, until a quarter is free, so that looking at all of
    /// them is a matter of every so many bytes and not of every packet.
    #[cold]
    fn relieve(&mut self, output: &mut Output) {
        let mut holders: Vec<(usize, FlowId)> = Vec::new();
        for id in self.flows.ids() {
            let held = self.flows.get_mut(id).map_or(0, |flow| flow.application.held());
            if held > 0 {
                holders.push((held, id));
            }
        }
        // The sort is stable: of two that hold as much, the older one comes first.
        holders.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
        output.shared.opcua.held_bytes = holders.iter().map(|(held, _)| held).sum();
        for (_, id) in holders {
            if output.shared.opcua.held_bytes <= HELD_BYTES - HELD_BYTES / 4 {
                break;
            }
            if let Some(flow) = self.flows.get_mut(id) {
                talk::relieve(flow, self.now, output);
                output.cut_when_full();
            }
        }
    }

    /// The conversation of a segment that opens one, or that is the first one seen.
    fn opened(
        &mut self,
        known: Option<FlowId>,
        key: FlowKey,
        position: usize,
        ts: i64,
        segment: &Segment<'_>,
        output: &mut Output,
    ) -> FlowId {
        let is_syn = segment.flags & flags::SYN != 0;
        let is_answer = segment.flags & flags::ACK != 0;
        let asker = if is_answer { 1 - position } else { position };
        let Some(id) = known else {
            let client = if is_syn { asker } else { likely_client(&key, position, true) };
            return self.open(Flow::new(key, client, ts, Talk::default()), output);
        };
        let Some(flow) = self.flows.get_mut(id) else {
            return id;
        };
        let (first_ts, opening) = match reopening(flow, position, segment) {
            Reopening::No => return id,
            Reopening::Asked => {
                flow.reopening = Some((position, segment.sequence, ts));
                return id;
            }
            Reopening::Now => (ts, None),
            Reopening::Answered(sequence, asked_ts) => {
                output.counters.syn_ignored = output.counters.syn_ignored.saturating_sub(1);
                (asked_ts, Some(sequence))
            }
        };
        self.end(id, None, output);
        let mut flow = Flow::new(key, asker, first_ts, Talk::default());
        if let Some(sequence) = opening {
            let half = flow.half_mut(asker);
            half.opening = Some(sequence);
            half.stream.synchronise(sequence.wrapping_add(1));
            flow.handshake = Handshake::Asked;
        }
        self.open(flow, output)
    }
}

/// Whether a SYN on a known pair of endpoints opens another conversation.
enum Reopening {
    /// It belongs to the one that is there.
    No,
    /// It does.
    Now,
    /// Only if the other side takes it up: in an established connection a SYN is a mistake or an attack (RFC 9293, 3.10.7.4; RFC 5961, 4).
    Asked,
    /// The other side takes up the SYN of this sequence number and time.
    Answered(u32, i64),
}

fn reopening(flow: &Flow<Talk>, position: usize, segment: &Segment<'_>) -> Reopening {
    let (sender, other) = (flow.half(position), flow.half(1 - position));
    if sender.opening == Some(segment.sequence) {
        return Reopening::No;
    }
    if segment.flags & flags::ACK == 0 {
        let is_unanswered = flow.handshake == Handshake::Asked && position == flow.client;
        // The SYN of a connection whose answer was captured first.
        let is_late = other.acknowledged == Some(segment.sequence.wrapping_add(1)) && sender.opening.is_none();
        let is_simultaneous = flow.handshake == Handshake::Asked && position != flow.client;
        return match () {
            () if is_late || is_simultaneous => Reopening::No,
            () if flow.ending.is_some() || is_unanswered || other.packets == 0 => Reopening::Now,
            () => Reopening::Asked,
        };
    }
    match flow.reopening {
        Some((asker, sequence, ts)) if asker != position && segment.acknowledgment == sequence.wrapping_add(1) => {
            Reopening::Answered(sequence, ts)
        }
        _ if flow.ending.is_some() => Reopening::Now,
        _ => Reopening::No,
    }
}

/// Which endpoint asks, when the opening was not seen: not the one with the well-known port, else the one with the higher port.
fn likely_client(key: &FlowKey, sender: usize, is_stream: bool) -> usize {
    let [low, high] = key.endpoints.map(|endpoint| endpoint.port);
    let carrier = if is_stream { Carrier::Stream } else { Carrier::Datagram };
    let is_known = |port: u16| registry().is_known(carrier, port);
    match (is_known(low), is_known(high)) {
        (true, false) => 1,
        (false, true) => 0,
        _ if !is_stream || low == high => sender,
        _ => usize::from(low < high),
    }
}

fn class(flow: &Flow<Talk>) -> Class {
    let is_industrial = flow.application.name.is_some_and(Application::is_industrial);
    match (flow.key.transport, flow.ending, flow.handshake) {
        (Transport::Udp | Transport::Ethernet, ..) => Class::Datagrams,
        (_, Some(_), _) => Class::Ended,
        (_, _, Handshake::Asked | Handshake::Answered) => Class::HalfOpen,
        _ if flow.reported_ts == flow.first_ts && flow.halves.iter().all(|half| half.bytes == 0) => Class::Unspoken,
        _ if is_industrial => Class::Industrial,
        _ => Class::Other,
    }
}
