//! What the workers and the watch share of one interface.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wire::packet::LinkType;

use super::interface::{self, Interface};
use super::lock;
use super::ring::Ring;
use super::socket::{Instruction, Socket};

/// An interface that is listened to.
pub struct Port {
    /// Name of the interface.
    pub name: String,
    /// What its packets begin with.
    pub link: LinkType,
    /// What is let through; empty for everything.
    pub program: Vec<Instruction>,
    /// Bytes of each worker's ring.
    pub ring_bytes: usize,
    /// Packets that were lost because a ring was full.
    pub dropped: AtomicU64,
    /// Times that a ring was found full.
    pub frozen: AtomicU64,
    /// Times that the interface went away or went down.
    pub away: AtomicU64,
    /// Rises whenever the rings are others: a worker then gives up the one it has, and takes the one that waits for it.
    pub generation: AtomicU64,
    waiting: Vec<Mutex<Option<Ring>>>,
    /// Sockets of the rings. What they have counted is taken from the kernel and added above under this lock, so that it is never in neither.
    sockets: Mutex<Vec<Arc<Socket>>>,
}

impl Port {
    /// An interface that `workers` will listen to.
    pub fn new(name: String, link: LinkType, program: Vec<Instruction>, ring_bytes: usize, workers: usize) -> Self {
        Self {
            name,
            link,
            program,
            ring_bytes,
            dropped: AtomicU64::new(0),
            frozen: AtomicU64::new(0),
            away: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            waiting: (0..workers).map(|_| Mutex::new(None)).collect(),
            sockets: Mutex::default(),
        }
    }

    /// Opens a ring for each worker and puts it where they look.
    ///
    /// # Errors
    /// The interface has gone, the right is missing, or there is no memory.
    pub fn open(&self, found: &Interface) -> io::Result<()> {
        let is_shared = self.waiting.len() > 1;
        let mut group = None;
        let mut rings = Vec::new();
        for _ in &self.waiting {
            let socket = Arc::new(Socket::open()?);
            let ring = Ring::new(Arc::clone(&socket), self.ring_bytes)?;
            socket.bind(found)?;
            if is_shared {
                group = Some(socket.share(group)?);
            }
            rings.push(ring);
        }
        let sockets: Vec<_> = rings.iter().map(|ring| Arc::clone(ring.socket())).collect();
        for (place, ring) in self.waiting.iter().zip(rings) {
            *lock(place) = Some(ring);
        }
        // Only now, when every socket has joined, lest a packet be seen by two.
        for socket in &sockets {
            socket.filter(&self.program)?;
        }
        *lock(&self.sockets) = sockets;
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Adds what the rings have counted since the last time.
    pub fn count(&self) {
        for socket in lock(&self.sockets).iter() {
            self.add(socket);
        }
    }

    /// Adds, for the last time, what a ring has counted. What it has handed over and nobody has taken is lost.
    pub fn leave(&self, ring: &Ring) {
        let mut sockets = lock(&self.sockets);
        if sockets.iter().any(|socket| Arc::ptr_eq(socket, ring.socket())) {
            sockets.retain(|socket| !Arc::ptr_eq(socket, ring.socket()));
            self.add(ring.socket());
            self.dropped.fetch_add(ring.left(), Ordering::Relaxed);
        }
    }

    fn add(&self, socket: &Socket) {
        // Without a ring there is nothing to tell.
        let Ok(told) = socket.statistics() else { return };
        self.dropped.fetch_add(u64::from(told.drops), Ordering::Relaxed);
        self.frozen.fetch_add(u64::from(told.freezes), Ordering::Relaxed);
    }

    /// Takes the rings away from the workers.
    pub fn close(&self) {
        for place in &self.waiting {
            lock(place).take();
        }
        self.count();
        lock(&self.sockets).clear();
        self.away.fetch_add(1, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The ring that waits for this worker.
    pub fn take(&self, worker: usize) -> Option<Ring> {
        lock(self.waiting.get(worker)?).take()
    }

    /// The interface as it is now, if it can be listened to; otherwise why not.
    ///
    /// # Errors
    /// One line.
    pub fn look(&self, socket: &Socket) -> Result<Interface, String> {
        use std::os::fd::AsFd;
        match interface::find(socket.as_fd(), &self.name) {
            Err(_) => Err("there is no such interface now".to_owned()),
            Ok(found) if !found.is_up => Err(format!("is down; bring it up with: ip link set {} up", self.name)),
            Ok(found) if found.link != Some(self.link) => {
                Err("has come back as another kind of interface; start anew".to_owned())
            }
            Ok(found) => Ok(found),
        }
    }
}
