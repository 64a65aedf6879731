//! What a TCP segment does to its conversation: opening and end, acknowledgments, bytes in order, gaps (RFC 9293, 3.10.7).

use super::conversations::Meeting;
use super::output::{Output, Rule};
use super::talk::{self, Talk};
use crate::packet::{Opening, Segment, flags};
use crate::record::table::Layer;
use crate::transport::{Arriving, Conflict, Ending, Flow, Handshake, Ready};

/// Counts a packet of the endpoint at `position`.
#[inline]
pub(super) fn meet(flow: &mut Flow<Talk>, position: usize, meeting: &Meeting) {
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
pub(super) fn advance(
    flow: &mut Flow<Talk>,
    position: usize,
    ts: i64,
    segment: &Segment<'_>,
    opening: Option<&Opening>,
    output: &mut Output,
) -> bool {
    if segment.flags & (flags::SYN | flags::RST) != 0 {
        let is_taken = advance_syn_or_reset(flow, position, segment, output);
        let half = flow.half_mut(position);
        if is_taken && half.stack.is_none() {
            half.stack = opening.copied().map(Box::new);
        }
        return is_taken;
    }
    let sender = flow.half_mut(position);
    sender.stream.synchronise(segment.sequence);
    let has_payload = !segment.payload.is_empty();
    if matches!(flow.handshake, Handshake::Asked | Handshake::Answered) && (position == flow.client || has_payload) {
        flow.handshake = Handshake::Done;
        talk::tell_stacks(flow, ts, output);
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
        if sender.stream.next().is_some() {
            sender.reset = sender.reset.or(Some(segment.sequence));
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

/// Length of a payload as a sequence distance.
fn length(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

/// Takes a segment's acknowledgment, payload and end in.
#[inline]
pub(super) fn receive(
    flow: &mut Flow<Talk>,
    position: usize,
    ts: i64,
    segment: &Segment<'_>,
    has_payload: bool,
    output: &mut Output,
) {
    let is_acknowledging = segment.flags & flags::ACK != 0;
    let is_read = flow.application.is_read();
    let (sender, receiver) = flow.both_mut(position);
    let mut is_held_back = false;
    if is_acknowledging {
        let is_newer = sender.acknowledged.is_none_or(|before| segment.acknowledgment.wrapping_sub(before).cast_signed() > 0);
        if is_newer {
            sender.acknowledged = Some(segment.acknowledgment);
        }
        // What the sender has and the sensor has not seen was lost on the way to the sensor, or is still on it: `release` tells.
        is_held_back = is_read && receiver.stream.unseen(segment.acknowledgment).is_some();
    }
    let start = if segment.flags & flags::SYN != 0 { segment.sequence.wrapping_add(1) } else { segment.sequence };
    if has_payload {
        let arriving = Arriving {
            ts,
            sequence: start,
            acknowledgment: is_acknowledging.then_some(segment.acknowledgment),
            payload: segment.payload,
            missing: segment.missing,
            is_held_back,
            is_kept: is_read,
        };
        arrive(flow, position, &arriving, output);
    }
    if segment.flags & flags::FIN != 0 {
        let length = length(segment.payload).wrapping_add(segment.missing);
        flow.half_mut(position).stream.finish_at(start.wrapping_add(length));
        finish(flow);
    }
}

#[inline]
fn arrive(flow: &mut Flow<Talk>, position: usize, arriving: &Arriving<'_>, output: &mut Output) {
    let half = flow.half_mut(position);
    let arrival = half.stream.arrive(arriving, &output.limits, &mut output.counters);
    half.bytes += arrival.new_bytes;
    let end = arriving.sequence.wrapping_add(length(arriving.payload)).wrapping_add(arriving.missing);
    let is_after_reset = half.reset.is_some_and(|reset| end.wrapping_sub(reset).cast_signed() > 0) && arrival.new_bytes > 0;
    let is_after_close = (arrival.is_after_end || is_after_reset) && !half.has_sent_after_close;
    half.has_sent_after_close |= is_after_close;
    if arrival.is_retransmission {
        flow.retransmissions = flow.retransmissions.saturating_add(1);
    }
    if is_after_close {
        tell_after_close(flow, is_after_reset, arriving, output);
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
    drain(flow, output);
    if is_over_bound && flow.half(position).stream.is_waiting() {
        output.counters.buffer_full += 1;
        give_up_gap(flow, position, ts, output);
    }
    if flow.held_bytes() > output.limits.conversation_bytes {
        output.counters.conversation_full += 1;
        for position in [position, 1 - position] {
            while flow.held_bytes() > output.limits.conversation_bytes && flow.half(position).stream.is_waiting() {
                give_up_gap(flow, position, ts, output);
            }
        }
    }
    finish(flow);
}

/// Whether `position` has bytes ready, and whether they answer what the other side has not been seen to say.
fn ready(flow: &Flow<Talk>, position: usize) -> Option<bool> {
    let acknowledgment = flow.half(position).stream.peek()?;
    let other = &flow.half(1 - position).stream;
    let is_held_back = acknowledgment.is_some_and(|acknowledgment| other.unseen(acknowledgment).is_some());
    Some(is_held_back && flow.application.is_read())
}

/// Gives on what is in order, each side's bytes behind those of the other side that they answer.
fn drain(flow: &mut Flow<Talk>, output: &mut Output) {
    // Each round uses something that waits, so that it ends.
    while let Some(position) = [flow.client, 1 - flow.client].into_iter().find(|at| ready(flow, *at) == Some(false)) {
        give_on(flow, position, output);
    }
}

/// Gives on the next bytes that `position` has ready.
fn give_on(flow: &mut Flow<Talk>, position: usize, output: &mut Output) {
    let ts = flow.last_ts;
    match flow.half_mut(position).stream.ready(&mut output.counters) {
        Some(Ready::Data(ts, bytes)) => talk::hear(flow, position, ts, &bytes, output),
        Some(Ready::Gap(lost)) => talk::lose(flow, position, ts, lost, output),
        Some(Ready::Unread) | None => {}
    }
}

/// Lets go what waited for the other side: what that side is known to have sent was not captured.
pub(super) fn release(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
    let [low, high] = &flow.halves;
    let confirmed = [(0, high), (1, low)].map(|(at, other)| (at, other.acknowledged.filter(|_| other.stream.is_waiting())));
    drain(flow, output);
    // Each round declares one gap in front of a fixed place or uses something that waits, so that it ends.
    while lose_confirmed(flow, confirmed, ts, output) || force(flow, output) {
        drain(flow, output);
    }
    finish(flow);
}

/// Declares one gap lost in what an endpoint sent and the other one is known to have received. Returns whether there was one.
fn lose_confirmed(flow: &mut Flow<Talk>, confirmed: [(usize, Option<u32>); 2], ts: i64, output: &mut Output) -> bool {
    for (position, acknowledged) in confirmed {
        if let Some(acknowledged) = acknowledged
            && let Some(lost) = flow.half_mut(position).stream.skip_to_acknowledged(acknowledged, &mut output.counters)
        {
            talk::lose(flow, position, ts, lost, output);
            return true;
        }
    }
    false
}

/// Gives on bytes that are in order although they are held back, those of the client first. Each side waits for the other where a segment was
/// captured only when it was sent again, or put together from segments of different times. Returns whether there were any.
fn force(flow: &mut Flow<Talk>, output: &mut Output) -> bool {
    let position = [flow.client, 1 - flow.client].into_iter().find(|at| ready(flow, *at).is_some());
    if let Some(position) = position {
        give_on(flow, position, output);
    }
    position.is_some()
}

/// Declares lost everything that something waits for.
pub(super) fn give_up_gaps(flow: &mut Flow<Talk>, ts: i64, output: &mut Output) {
    release(flow, ts, output);
    for position in [flow.client, 1 - flow.client] {
        while flow.half(position).stream.is_waiting() {
            give_up_gap(flow, position, ts, output);
        }
    }
}

/// Declares lost what is missing in front of the first bytes that wait. At least these do not wait any longer.
fn give_up_gap(flow: &mut Flow<Talk>, position: usize, ts: i64, output: &mut Output) {
    if let Some(lost) = flow.half_mut(position).stream.skip_to_held(&mut output.counters) {
        talk::lose(flow, position, ts, lost, output);
    }
    release(flow, ts, output);
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

/// The sender had said that it had no more to send, or had given the connection up, and sends more: receivers drop it (RFC 9293, 3.10.7.4), and
/// a sensor that does not would follow a talk that never was.
#[cold]
fn tell_after_close(flow: &mut Flow<Talk>, is_after_reset: bool, arriving: &Arriving<'_>, output: &mut Output) {
    let detail = format!(
        "expected nothing behind the sender's {}, seen {} bytes at sequence number {}",
        if is_after_reset { "reset" } else { "end" },
        arriving.payload.len() as u64 + u64::from(arriving.missing),
        arriving.sequence
    );
    let rule = Rule { layer: Layer::Transport, protocol: "tcp", kind: "data_after_close", clause: "RFC 9293, 3.10.7" };
    let party = talk::party(flow, output);
    output.violation(arriving.ts, party, &rule, &detail, arriving.payload);
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
