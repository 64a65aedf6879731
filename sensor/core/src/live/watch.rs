//! The watch over the interfaces: counts what the rings lost, notices that an interface has gone, and opens it again when it is back.

use std::time::{Duration, Instant};

use super::Shared;
use super::interface::Interface;
use super::port::Port;
use super::socket::Socket;

/// How often the interfaces are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time between two attempts to open an interface that cannot be opened.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is known of one interface.
struct Watched {
    /// The interface to which its rings are bound; None while it is away.
    open: Option<Interface>,
    /// When it went.
    gone: Instant,
    /// Why it is away: said once.
    reason: String,
    attempt: Instant,
    pause: Duration,
}

/// Watches over all interfaces.
pub struct Watch {
    /// For questions about interfaces; it is never bound.
    socket: Socket,
    watched: Vec<Watched>,
}

impl Watch {
    /// Opens what can be opened now. `socket` is for questions.
    pub fn new(socket: Socket, shared: &Shared) -> Self {
        let now = Instant::now();
        let away = |_: &Port| Watched { open: None, gone: now, reason: String::new(), attempt: now, pause: LOOK };
        let mut watch = Self { socket, watched: shared.ports.iter().map(away).collect() };
        watch.look(shared);
        watch
    }

    /// Watches until everything is stopped; from then on each worker counts what its own rings lost.
    pub fn run(&mut self, shared: &Shared) {
        while !shared.is_stopped() {
            self.look(shared);
            std::thread::park_timeout(LOOK);
        }
    }

    fn look(&mut self, shared: &Shared) {
        let now = Instant::now();
        for (port, watched) in shared.ports.iter().zip(&mut self.watched) {
            port.count();
            let found = port.look(&self.socket);
            match (&watched.open, found) {
                (Some(bound), Ok(found)) if bound.index == found.index => {}
                (Some(_), found) => {
                    port.close();
                    let reason = found.err().unwrap_or_else(|| "was made anew".to_owned());
                    *watched = Watched { open: None, gone: now, reason: String::new(), attempt: now, pause: LOOK };
                    watched.say(shared, port, reason);
                }
                (None, Ok(found)) if now >= watched.attempt => watched.open(shared, port, found, now),
                (None, Ok(_)) => {}
                (None, Err(reason)) => watched.say(shared, port, reason),
            }
        }
    }
}

impl Watched {
    fn open(&mut self, shared: &Shared, port: &Port, found: Interface, now: Instant) {
        match port.open(&found) {
            Ok(()) => {
                if !self.reason.is_empty() {
                    let seconds = now.saturating_duration_since(self.gone).as_secs();
                    shared.warn(format!("{}: listening again after {seconds} s", port.name));
                }
                self.open = Some(found);
                self.reason.clear();
            }
            Err(error) => {
                self.say(shared, port, format!("cannot be opened: {error}"));
                self.attempt = now + self.pause;
                self.pause = (self.pause * 2).min(PATIENCE);
            }
        }
    }

    /// Says why it is away, once.
    fn say(&mut self, shared: &Shared, port: &Port, reason: String) {
        if reason != self.reason {
            shared.warn(format!("{}: {reason}; waiting for it", port.name));
            self.reason = reason;
        }
    }
}
