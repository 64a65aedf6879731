//! Packets to conversations: opening, order, end, and what has to happen at its time.

use std::collections::VecDeque;

use super::output::{Output, Rule};
use super::recognise;
use super::talk::{self, Talk};
use crate::packet::{Address, Datagram, Segment, flags};
use crate::protocol::modbus;
use crate::record::table::{Layer, Transport};
use crate::transport::{Arriving, Class, Conflict, Ending, Endpoint, Flow, FlowId, FlowKey, Flows, Handshake, Ready};

/// Time between two rows of a conversation's state, in nanoseconds of packet time.
const REPORT_NS: i64 = 60_000_000_000;
/// How long bytes wait that answer something not seen yet: captures of two directions are merged with less disorder than this.
const HOLD_NS: i64 = 10_000_000;
/// How long bytes wait for those in front of them, when nobody acknowledges that they have come.
const GAP_NS: i64 = 1_000_000_000;
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
                release(flow, now, output);
            }
        }
        while let Some(id) = take(&mut self.gaps) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.application.is_awaited = false;
                give_up_gaps(flow, now, output);
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
                self.end(id, Some(Ending::Expired), output);
            }
        }
    }

    /// The clock was set back: nothing waits any longer.
    fn flush(&mut self, output: &mut Output) {
        let now = self.now;
        for (_, id) in std::mem::take(&mut self.held).into_iter().chain(std::mem::take(&mut self.gaps)) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.application.is_awaited = false;
                give_up_gaps(flow, now, output);
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
            let at = at.max(self.now.saturating_add(1));
            self.deadlines.push_back((at, id));
        }
        let [low, high] = &flow.halves;
        let is_waiting = low.stream.is_waiting() || high.stream.is_waiting();
        if is_waiting && !flow.application.is_awaited {
            flow.application.is_awaited = true;
            self.held.push_back((self.now.saturating_add(HOLD_NS), id));
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
        give_up_gaps(&mut flow, ts, output);
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

    /// Takes a TCP segment in.
    pub fn segment(&mut self, meeting: &Meeting, segment: &Segment<'_>, output: &mut Output) {
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
        meet(flow, position, meeting);
        let has_payload = !segment.payload.is_empty() || segment.missing > 0;
        if advance(flow, position, segment, output) {
            receive(flow, position, meeting.ts, segment, has_payload, output);
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
        meet(flow, position, meeting);
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
    let is_known = |port: u16| port == modbus::PORT || recognise::by_port(port, is_stream).is_some();
    match (is_known(low), is_known(high)) {
        (true, false) => 1,
        (false, true) => 0,
        _ if !is_stream || low == high => sender,
        _ => usize::from(low < high),
    }
}

fn class(flow: &Flow<Talk>) -> Class {
    let is_industrial = flow.application.name.is_some_and(recognise::is_industrial);
    match (flow.key.transport, flow.ending, flow.handshake) {
        (Transport::Udp, ..) => Class::Datagrams,
        (_, Some(_), _) => Class::Ended,
        (_, _, Handshake::Asked | Handshake::Answered) => Class::HalfOpen,
        _ if is_industrial => Class::Industrial,
        _ => Class::Other,
    }
}

/// Counts a packet of the endpoint at `position`.
#[inline]
fn meet(flow: &mut Flow<Talk>, position: usize, meeting: &Meeting) {
    let (sender, receiver) = flow.both_mut(position);
    sender.packets += 1;
    if sender.mac.is_none() || receiver.mac.is_none() {
        sender.mac = sender.mac.or(meeting.source_mac);
        // A group address says nothing about the receiver.
        receiver.mac = receiver.mac.or(meeting.destination_mac.filter(|[first, ..]| first & 1 == 0));
    }
    if sender.packets == 1 {
        flow.vlan = flow.vlan.or(meeting.vlan);
    }
    flow.last_ts = flow.last_ts.max(meeting.ts);
}

/// Moves the connection's state on. Returns whether the segment belongs to the connection.
#[inline]
fn advance(flow: &mut Flow<Talk>, position: usize, segment: &Segment<'_>, output: &mut Output) -> bool {
    if segment.flags & (flags::SYN | flags::RST) != 0 {
        return advance_syn_or_reset(flow, position, segment, output);
    }
    let sender = flow.half_mut(position);
    sender.stream.synchronise(segment.sequence);
    let has_payload = !segment.payload.is_empty();
    match flow.handshake {
        Handshake::Asked if position == flow.client || has_payload => flow.handshake = Handshake::Done,
        Handshake::Answered if position == flow.client || has_payload => flow.handshake = Handshake::Done,
        _ => {}
    }
    true
}

#[inline(never)]
fn advance_syn_or_reset(flow: &mut Flow<Talk>, position: usize, segment: &Segment<'_>, output: &mut Output) -> bool {
    let is_answer = segment.flags & flags::ACK != 0;
    let (client, handshake) = (flow.client, flow.handshake);
    let (sender, receiver) = flow.both_mut(position);
    let is_acceptable = match receiver.opening {
        // What answers a SYN acknowledges it, with the data that came with it (RFC 9293, 3.10.7.3; RFC 7413).
        Some(opening) if is_answer => receiver
            .stream
            .next()
            .is_none_or(|next| segment.acknowledgment.wrapping_sub(opening.wrapping_add(1)) <= next.wrapping_sub(opening)),
        _ => true,
    };
    if segment.flags & flags::RST != 0 {
        let is_in_window = match sender.stream.next() {
            Some(_) => sender.stream.is_in_window(segment.sequence) || segment.sequence == 0 && is_answer && sender.bytes == 0,
            None => is_acceptable,
        };
        if !is_in_window {
            output.counters.reset_ignored += 1;
            return false;
        }
        if flow.ending.is_none() {
            let is_refused = handshake == Handshake::Asked && position != client;
            flow.ending = Some(if is_refused { Ending::Refused } else { Ending::Reset });
        }
        return false;
    }
    if sender.opening == Some(segment.sequence) {
        flow.retransmissions = flow.retransmissions.saturating_add(1);
        return true;
    }
    if sender.opening.is_some() || handshake == Handshake::Done || !is_acceptable {
        output.counters.syn_ignored += 1;
        return false;
    }
    sender.opening = Some(segment.sequence);
    sender.stream.synchronise(segment.sequence.wrapping_add(1));
    flow.handshake = match (handshake, is_answer) {
        (Handshake::Unseen, false) => Handshake::Asked,
        _ => Handshake::Answered,
    };
    true
}

/// Takes a segment's acknowledgment, payload and end in.
#[inline]
fn receive(flow: &mut Flow<Talk>, position: usize, ts: i64, segment: &Segment<'_>, has_payload: bool, output: &mut Output) {
    let is_acknowledging = segment.flags & flags::ACK != 0;
    let is_read = flow.application.is_read();
    let (sender, receiver) = flow.both_mut(position);
    let mut is_held_back = false;
    if is_acknowledging {
        let is_newer = sender.acknowledged.is_none_or(|before| segment.acknowledgment.wrapping_sub(before).cast_signed() > 0);
        if is_newer {
            sender.acknowledged = Some(segment.acknowledgment);
        }
        is_held_back = is_read && receiver.stream.unseen(segment.acknowledgment).is_some();
        if is_held_back && receiver.stream.is_waiting() {
            // The receiver has what is missing in front of what waits: it was lost on the way to the sensor only.
            confirm_gap(flow, 1 - position, segment.acknowledgment, ts, output);
            is_held_back = flow.half(1 - position).stream.unseen(segment.acknowledgment).is_some();
        }
    }
    let start = if segment.flags & flags::SYN != 0 { segment.sequence.wrapping_add(1) } else { segment.sequence };
    if has_payload {
        let arriving =
            Arriving { ts, sequence: start, payload: segment.payload, missing: segment.missing, is_held_back, is_kept: is_read };
        arrive(flow, position, &arriving, output);
    }
    if segment.flags & flags::FIN != 0 {
        let length = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX).wrapping_add(segment.missing);
        flow.half_mut(position).stream.finish_at(start.wrapping_add(length));
        finish(flow);
    }
}

#[inline]
fn arrive(flow: &mut Flow<Talk>, position: usize, arriving: &Arriving<'_>, output: &mut Output) {
    let half = flow.half_mut(position);
    let arrival = half.stream.arrive(arriving, &output.limits, &mut output.counters);
    half.bytes += arrival.new_bytes;
    if arrival.is_retransmission {
        flow.retransmissions = flow.retransmissions.saturating_add(1);
    }
    if let Some(conflict) = &arrival.conflict {
        contradict(flow, arriving.ts, conflict, output);
    }
    if arrival.has_moved {
        talk::lose(flow, position, arriving.ts, 0, output);
    }
    if let Some(bytes) = arrival.in_order {
        talk::hear(flow, position, arriving.ts, bytes, output);
    }
    let [low, high] = &flow.halves;
    if low.stream.is_waiting() || high.stream.is_waiting() {
        follow(flow, position, arriving.ts, arrival.is_over_bound, output);
    }
}

/// What a segment released.
#[inline(never)]
fn follow(flow: &mut Flow<Talk>, position: usize, ts: i64, is_over_bound: bool, output: &mut Output) {
    drain(flow, position, output);
    if is_over_bound && flow.half(position).stream.is_waiting() {
        output.counters.buffer_full += 1;
        give_up_gap(flow, position, ts, output);
    }
    drain(flow, 1 - position, output);
    finish(flow);
}

/// Gives on what is in order, unless it answers what the other side has not been seen to say.
fn drain(flow: &mut Flow<Talk>, position: usize, output: &mut Output) {
    let (half, other) = flow.both_mut(position);
    let is_held_back = half.acknowledged.is_some_and(|acknowledged| other.stream.unseen(acknowledged).is_some());
    if !is_held_back || !flow.application.is_read() {
        drain_all(flow, position, output);
    }
}

fn drain_all(flow: &mut Flow<Talk>, position: usize, output: &mut Output) {
    while let Some(ready) = flow.half_mut(position).stream.ready(&mut output.counters) {
        let ts = flow.last_ts;
        match ready {
            Ready::Data(ts, bytes) => talk::hear(flow, position, ts, &bytes, output),
            Ready::Gap(lost) => talk::lose(flow, position, ts, lost, output),
            Ready::Unread => {}
        }
    }
}

/// What `position` sent up to `acknowledgment` is gone where it has not been seen.
fn confirm_gap(flow: &mut Flow<Talk>, position: usize, acknowledgment: u32, ts: i64, output: &mut Output) {
    // Each round declares one gap and uses what waits behind it, so that it ends.
    while let Some(lost) = flow.half_mut(position).stream.skip_to_acknowledged(acknowledgment, &mut output.counters) {
        talk::lose(flow, position, ts, lost, output);
        drain_all(flow, position, output);
    }
}

/// Lets go what waited for the other side: what that side is known to have sent was not captured.
fn release(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
    for position in [0, 1] {
        let (half, other) = flow.both_mut(position);
        if other.stream.is_waiting()
            && let Some(acknowledged) = other.acknowledged
            && half.stream.unseen(acknowledged).is_some()
        {
            confirm_gap(flow, position, acknowledged, ts, output);
        }
    }
    for position in [0, 1] {
        drain(flow, position, output);
    }
    finish(flow);
}

/// Declares lost everything that something waits for.
fn give_up_gaps(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
    release(flow, ts, output);
    for position in [flow.client, 1 - flow.client] {
        drain_all(flow, position, output);
        while flow.half(position).stream.is_waiting() {
            give_up_gap(flow, position, ts, output);
        }
    }
    finish(flow);
}

/// Declares lost what is missing in front of the first bytes that wait.
fn give_up_gap(flow: &mut Flow<Talk>, position: usize, ts: i64, output: &mut Output) {
    if let Some(lost) = flow.half_mut(position).stream.skip_to_held(&mut output.counters) {
        talk::lose(flow, position, ts, lost, output);
    }
    drain_all(flow, position, output);
}

/// Notes which streams have come to their end.
fn finish(flow: &mut Flow<Talk>) {
    for half in &mut flow.halves {
        half.is_closed |= half.stream.is_finished();
    }
    let [low, high] = &flow.halves;
    let is_over = |half: &crate::transport::Half| half.is_closed || half.packets == 0;
    if flow.ending.is_none() && (low.is_closed || high.is_closed) && is_over(low) && is_over(high) {
        flow.ending = Some(Ending::Closed);
    }
}

/// Two segments said different things about the same bytes.
fn contradict(flow: &mut Flow<Talk>, ts: i64, conflict: &Conflict, output: &mut Output) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let detail = format!(
        "expected {} at sequence number {} as sent before, seen {}",
        hex(&conflict.before),
        conflict.sequence,
        hex(&conflict.now)
    );
    let rule = Rule { layer: Layer::Transport, protocol: "tcp", kind: "overlap_conflict", clause: "RFC 9293, 3.10.7.4" };
    let party = talk::party(flow, output);
    output.violation(ts, party, &rule, &detail, &conflict.now);
}
