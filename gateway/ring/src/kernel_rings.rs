//! All rings of one thread: as many as its sockets need, and one place to wait for all of them.
//!
//! A ring whose completions are deferred cannot be waited for through its own descriptor, so each of them signals one
//! eventfd, and the thread waits for that and for its bell. A turn enters only rings that have something.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::buffer_ring::BUFFERS_COUNT;
use crate::child_ring::ChildRing;
use crate::ring::{Buffer, Completion, Operation, Ring};
use crate::socket_id::SocketId;

/// Beyond this a table gains nothing.
const SOCKETS_PER_RING_MAX: u16 = 32_768;

/// How many sockets, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingsConfig {
    /// Of one ring; the kernel refuses more than RLIMIT_NOFILE. At most 65,535.
    pub sockets_per_ring_max: u16,
    /// Rings at most. Each is made when the ones before it are full, and costs some 800 KiB once it has been busy.
    pub rings_max: u16,
}

impl RingsConfig {
    /// For so many sockets, with rings as large as this process may have them: it raises the process's own limit of
    /// descriptors as far as it may.
    pub fn for_sockets(sockets_max: u32) -> RingsConfig {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let descriptors_max = raised.map_or(current, |()| maximum).unwrap_or(u64::MAX);
        let sockets_per_ring_max = u16::try_from(descriptors_max).unwrap_or(SOCKETS_PER_RING_MAX);
        let sockets_per_ring_max = sockets_per_ring_max.clamp(1, SOCKETS_PER_RING_MAX);
        // One more for those that are accepted and not closed yet.
        let rings_max = sockets_max.div_ceil(u32::from(sockets_per_ring_max)) + 1;
        RingsConfig { sockets_per_ring_max, rings_max: u16::try_from(rings_max).unwrap_or(u16::MAX) }
    }
}

/// See the file's head. Belongs to the thread that has made it: the kernel refuses any other.
pub struct KernelRings {
    config: RingsConfig,
    /// `None` when nobody is accepted any more.
    listener: Option<TcpListener>,
    is_listener_ending: bool,
    rings: Vec<ChildRing>,
    completions: VecDeque<Completion>,
    waiting: OwnedFd,
    signal: OwnedFd,
    events: Vec<epoll::Event>,
}

impl KernelRings {
    /// With a first ring. `bell` is readable when the thread is wanted; it is waited for, and read by its owner.
    pub fn new(config: RingsConfig, listener: TcpListener, bell: impl AsFd) -> io::Result<KernelRings> {
        let waiting = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // At its edge: so nobody has to read the signal, whose count only grows.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&waiting, &signal, epoll::EventData::new_u64(0), flags)?;
        epoll::add(&waiting, bell, epoll::EventData::new_u64(1), flags)?;
        let (rings, completions) = (Vec::new(), VecDeque::new());
        let (listener, is_listener_ending, events) = (Some(listener), false, Vec::with_capacity(2));
        let mut rings =
            KernelRings { config, listener, is_listener_ending, rings, completions, waiting, signal, events };
        rings.add_ring()?;
        Ok(rings)
    }

    fn add_ring(&mut self) -> io::Result<()> {
        let number = self.rings.len() as u16;
        self.rings.push(ChildRing::new(number, self.config.sockets_per_ring_max, self.signal.as_raw_fd())?);
        Ok(())
    }

    /// Where the first ring with room is, made where all are full; the last to be made is the last to fill.
    fn place_with_room(&mut self) -> Option<usize> {
        let place = self.rings.iter().position(ChildRing::has_room);
        let can_grow = place.is_none() && self.rings.len() < usize::from(self.config.rings_max);
        place.or_else(|| (can_grow && self.add_ring().is_ok()).then(|| self.rings.len() - 1))
    }

    fn attach(&mut self, number: u64, descriptor: OwnedFd) {
        let place = self.place_with_room();
        match place.and_then(|place| self.rings.get_mut(place)) {
            Some(ring) => ring.attach(number, descriptor, &mut self.completions),
            None => self.completions.push_back(Completion::Attached { number, result: Err(Errno::MFILE) }),
        }
    }

    fn accept(&mut self) {
        let place = self.place_with_room();
        let ring = place.and_then(|place| self.rings.get_mut(place));
        match (ring, &self.listener) {
            (Some(ring), Some(listener)) => ring.accept(listener.as_fd(), &mut self.completions),
            (None, Some(_)) => self.completions.push_back(Completion::Accepted(Err(Errno::MFILE))),
            (_, None) => self.completions.push_back(Completion::Accepted(Err(Errno::CANCELED))),
        }
    }

    /// The listener is closed when the kernel has looked it up to cancel what waits for it.
    fn stop_accepting(&mut self) {
        let Some(listener) = &self.listener else { return };
        for ring in &mut self.rings {
            ring.stop_accepting(listener.as_fd(), &mut self.completions);
        }
        self.is_listener_ending = true;
    }

    fn turn_all(&mut self) {
        for ring in &mut self.rings {
            ring.turn(&mut self.completions);
        }
        if self.is_listener_ending {
            self.listener = None;
        }
    }

    fn wait(&mut self, patience: Duration) {
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        self.events.clear();
        match epoll::wait(&self.waiting, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("two open descriptors can always be waited for, but: {error}"),
        }
    }
}

impl Ring for KernelRings {
    type Descriptor = OwnedFd;

    fn buffers_count(&self) -> u32 {
        u32::from(BUFFERS_COUNT)
    }

    fn submit(&mut self, operation: Operation) {
        let socket = match operation {
            Operation::Accept => return self.accept(),
            Operation::StopAccepting => return self.stop_accepting(),
            Operation::Attach { number, descriptor } => return self.attach(number, descriptor),
            Operation::Send { socket, .. }
            | Operation::Watch(socket)
            | Operation::Receive(socket)
            | Operation::ShutDown(socket)
            | Operation::CancelWatch(socket)
            | Operation::CancelSend(socket)
            | Operation::Detach(socket)
            | Operation::Close(socket) => socket,
        };
        let SocketId { ring, .. } = socket;
        let ring = self.rings.get_mut(usize::from(ring)).expect("rings stay as long as this");
        ring.submit(operation, &mut self.completions);
    }

    fn turn(&mut self, patience: Duration) {
        self.turn_all();
        if self.completions.is_empty() && !patience.is_zero() {
            self.wait(patience);
            self.turn_all();
        }
    }

    fn next_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        self.rings.get_mut(usize::from(buffer.ring)).expect("rings stay as long as this").buffers().bytes(buffer)
    }

    fn give_back(&mut self, buffer: Buffer) {
        let ring = self.rings.get_mut(usize::from(buffer.ring)).expect("rings stay as long as this");
        ring.buffers().give_back(buffer);
    }
}

/// Whether rings can be made here as they are used, with sockets that leave them again or without; if not, what refuses.
/// On a thread of its own: the end of a ring interrupts a later system call of the thread that made it.
pub fn probe(has_departures: bool) -> io::Result<()> {
    let try_one = move || {
        let signal = eventfd(0, EventfdFlags::CLOEXEC)?;
        let ring = ChildRing::new(0, 1, signal.as_raw_fd())?;
        if has_departures && !ring.can_detach()? {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "no socket can leave its ring"));
        }
        Ok(())
    };
    std::thread::spawn(try_one).join().expect("the probe has nothing to panic about")
}
