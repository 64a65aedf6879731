//! Requests of one conversation that are over: answered, or given up before their answer came.

use std::collections::VecDeque;

use super::chunk::{HELD_BYTES, Message};

/// Requests of each kind that are remembered.
const REMEMBERED: usize = 32;
/// Longest body of a given-up request that is kept for its answer.
const BODY_BYTES: usize = 4_096;

/// Requests that are over.
#[derive(Default)]
pub struct Over {
    answered: VecDeque<u32>,
    given_up: VecDeque<Message>,
}

impl Over {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.given_up.iter().map(|message| size_of::<Message>() + message.body.capacity()).sum()
    }

    /// Bytes that count as held by all conversations.
    pub fn held(&self) -> usize {
        self.given_up.iter().map(|message| message.body.len()).sum()
    }

    /// Lets go of the bodies: answers that come late stand alone. `held` is what all conversations hold.
    pub fn forget_bodies(&mut self, held: &mut usize) {
        *held = held.saturating_sub(self.held());
        self.given_up.iter_mut().for_each(|message| message.body = Vec::new());
    }

    /// A request was answered.
    pub fn answered(&mut self, request_id: u32) {
        if self.answered.len() >= REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back(request_id);
    }

    /// Whether a request of this number was answered, and none was made since.
    pub fn is_answered(&self, request_id: u32) -> bool {
        self.answered.contains(&request_id)
    }

    /// A request was given up and is a row. Its body is kept for an answer that comes late, if it is short; all of what is not kept is let go.
    /// `held` is what all conversations hold.
    pub fn given_up(&mut self, mut message: Message, held: &mut usize) {
        if self.given_up.len() >= REMEMBERED
            && let Some(oldest) = self.given_up.pop_front()
        {
            *held = held.saturating_sub(oldest.body.len());
        }
        if message.body.len() > BODY_BYTES || *held > HELD_BYTES / 2 {
            *held = held.saturating_sub(message.body.len());
            message.body = Vec::new();
        }
        message.body.shrink_to_fit();
        self.given_up.push_back(message);
    }

    /// The request of an answer that comes late, if it was given up; without a body where that was not kept.
    pub fn take_given_up(&mut self, request_id: u32) -> Option<Message> {
        let at = self.given_up.iter().rposition(|message| message.request_id == request_id)?;
        self.given_up.remove(at)
    }

    /// All that is kept of given-up requests leaves.
    pub fn clear(&mut self) -> VecDeque<Message> {
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::table::opcua::MessageType;

    fn message(request_id: u32, bytes: usize) -> Message {
        Message {
            kind: MessageType::Message,
            start: 1,
            end: 2,
            channel_id: 7,
            token_id: Some(3),
            sequence_number: request_id,
            request_id,
            chunks: 1,
            bytes: 24 + bytes as u32,
            body: vec![9; bytes],
            is_cut: false,
            is_rest: false,
        }
    }

    #[test]
    fn bodies_are_kept_within_their_bound_and_what_is_held_is_what_is_told() {
        let (mut over, mut held) = (Over::default(), 0);
        for (id, bytes) in [(1, BODY_BYTES), (2, BODY_BYTES + 1)] {
            held += bytes;
            over.given_up(message(id, bytes), &mut held);
        }
        assert_eq!((held, over.held()), (BODY_BYTES, BODY_BYTES));
        for id in 3..3 + REMEMBERED as u32 {
            held += 10;
            over.given_up(message(id, 10), &mut held);
        }
        assert_eq!((held, over.held()), (10 * REMEMBERED, 10 * REMEMBERED), "the oldest made room");
        held += 1_000;
        over.forget_bodies(&mut held);
        assert_eq!((held, over.held()), (1_000, 0), "what others hold stays");
        assert_eq!(over.take_given_up(3).map(|message| (message.request_id, message.body.len())), Some((3, 0)));
        assert!(over.take_given_up(3).is_none() && over.take_given_up(1).is_none());
    }
}
