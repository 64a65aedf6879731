//! Sessions as the records name them: never by the secret that the messages carry.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::binary::NodeId;
use super::subscription::{Server, SessionKey};

/// Sessions whose names a conversation remembers; one connection seldom carries more than one.
const REMEMBERED: usize = 8;

/// Name of a session: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionName {
    /// What subscriptions know it by.
    pub key: SessionKey,
    digits: [u8; 16],
}

impl SessionName {
    /// The digits.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.digits).unwrap_or_default()
    }

    fn of(server: Server, token: &NodeId<'_>) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::new();
        token.write_text(&mut text);
        let mut sha1 = sha1_smol::Sha1::new();
        sha1.update(&server.0.to_be_bytes());
        sha1.update(text.as_bytes());
        let digest = sha1.digest().bytes();
        let mut digits = [b'0'; 16];
        let halves = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (digit, half) in digits.iter_mut().zip(halves) {
            *digit = DIGITS.get(usize::from(half)).copied().unwrap_or(b'0');
        }
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Self { key: SessionKey(u64::from_be_bytes([a, b, c, d, e, f, g, h])), digits }
    }
}

/// Names of the sessions of one conversation.
#[derive(Default)]
pub struct Sessions {
    known: Vec<(u64, SessionName)>,
}

impl Sessions {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.known.capacity() * size_of::<(u64, SessionName)>()
    }

    /// The name of the session of an authentication token; none for the null token, which names no session.
    pub fn name(&mut self, server: Server, token: &NodeId<'_>) -> Option<SessionName> {
        if token.is_null() {
            return None;
        }
        let hash = FixedState::default().hash_one(token);
        if let Some((_, name)) = self.known.iter().find(|(known, _)| *known == hash) {
            return Some(*name);
        }
        let name = SessionName::of(server, token);
        if self.known.len() >= REMEMBERED {
            self.known.remove(0);
        }
        self.known.push((hash, name));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_name_on_its_server_and_another_elsewhere() {
        let mut sessions = Sessions::default();
        let token = NodeId::standard(4_711);
        let name = sessions.name(Server(1), &token).unwrap();
        assert_eq!(sessions.name(Server(1), &token), Some(name));
        assert_eq!(name.text().len(), 16);
        assert_ne!(Sessions::default().name(Server(2), &token), Some(name));
        assert_eq!(sessions.name(Server(1), &NodeId::standard(0)), None);
    }
}
