//! One ring of the kernel: a table of sockets, a group of buffers, and what is on its way.
//!
//! The kernel bounds the table by RLIMIT_NOFILE for each ring, not for the process, so a process with many of them holds
//! far more sockets than it may have descriptors.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use rustix::io::Errno;

use crate::buffer_ring::{BUFFER_SIZE, BufferRing, GROUP};
use crate::in_flight::InFlight;
use crate::ring::{Buffer, Completion, Operation, Received};
use crate::socket_id::SocketId;
use crate::token::{GENERATIONS, Kind, Token};

/// What a watch looks for, in the words of poll.
const CAN_BE_READ: u16 = libc::POLLIN as u16;
/// The peer has ended its side, or the connection.
const HAS_GONE: u16 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u16;
/// Operations that are handed over at once; more of them in a turn take a system call more.
const SUBMISSIONS_MAX: u32 = 512;
/// Completions that are kept without a list of the kernel's own, which is slower.
const COMPLETIONS_MAX: u32 = 4096;
/// How often a ring that is dropped asks the kernel to end what is on its way.
const ENDING_TURNS_MAX: u32 = 1000;

/// See the file's head.
pub(crate) struct ChildRing {
    // Fields are dropped in this order: the kernel's end goes before the memory that it works on.
    ring: IoUring,
    lent: Lent,
    number: u16,
    /// By slot: how often it was given away.
    generations: Vec<u32>,
    /// Slots that are taken, or promised to an accept.
    taken: u32,
    /// Operations that have not ended.
    under_way: u64,
    /// Submitted since the last turn.
    unsubmitted: u32,
}

#[derive(Default)]
struct Lent {
    buffers: Option<BufferRing>,
    /// By slot: a socket sends once at a time.
    sends: HashMap<u16, Sending>,
    addresses: InFlight<Box<Address>>,
    arrivals: InFlight<Arrival>,
}

/// What the kernel reads of a send, from `from` on.
struct Sending {
    bytes: Vec<u8>,
    from: usize,
}

/// A socket on its way into the table.
struct Arrival {
    number: u64,
    /// The descriptor, and once it is in the table its slot there.
    place: Box<RawFd>,
    /// Kept open until then.
    _descriptor: OwnedFd,
}

/// Where the kernel writes who has come.
struct Address {
    storage: libc::sockaddr_storage,
    size: libc::socklen_t,
}

impl ChildRing {
    /// A ring with room for so many sockets, which wakes whoever waits for `signal`.
    pub(crate) fn new(number: u16, sockets_max: u16, signal: RawFd) -> io::Result<ChildRing> {
        let mut builder = IoUring::builder();
        // One thread works with it, and completions are made when that thread asks for them: they come in batches, and no
        // interrupt of the network takes the thread from what it does.
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        builder.setup_cqsize(COMPLETIONS_MAX).setup_clamp();
        let ring = builder.build(SUBMISSIONS_MAX)?;
        ring.submitter().register_files_sparse(u32::from(sockets_max))?;
        ring.submitter().register_eventfd(signal)?;
        let buffers = Some(BufferRing::register(&ring)?);
        let lent = Lent { buffers, ..Lent::default() };
        let generations = vec![0; usize::from(sockets_max)];
        Ok(ChildRing { ring, lent, number, generations, taken: 0, under_way: 0, unsubmitted: 0 })
    }

    /// Whether one more connection may be accepted into it.
    pub(crate) fn has_room(&self) -> bool {
        (self.taken as usize) < self.generations.len()
    }

    pub(crate) fn accept(&mut self, listener: BorrowedFd<'_>, out: &mut VecDeque<Completion>) {
        self.taken += 1;
        // SAFETY: a sockaddr_storage of zeros is one without a family.
        let storage = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let place = self.lent.addresses.lend(Box::new(Address { storage, size }));
        let address = self.lent.addresses.get_mut(place);
        let operation =
            opcode::Accept::new(Fd(listener.as_raw_fd()), (&raw mut address.storage).cast(), &raw mut address.size);
        let entry = operation.file_index(Some(DestinationSlot::auto_target())).build();
        self.push(entry, Token::of_ring(Kind::Accept, place), out);
    }

    pub(crate) fn stop_accepting(&mut self, listener: BorrowedFd<'_>, out: &mut VecDeque<Completion>) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::fd(Fd(listener.as_raw_fd())).all()).build();
        self.push(entry, Token::of_ring(Kind::StopAccepting, 0), out);
    }

    pub(crate) fn attach(&mut self, number: u64, descriptor: OwnedFd, out: &mut VecDeque<Completion>) {
        /// Any free slot of the table.
        const ANY_SLOT: i32 = -1;
        self.taken += 1;
        let place = Box::new(descriptor.as_raw_fd());
        let lent = self.lent.arrivals.lend(Arrival { number, place, _descriptor: descriptor });
        let place: *mut RawFd = &raw mut *self.lent.arrivals.get_mut(lent).place;
        let entry = opcode::FilesUpdate::new(place, 1).offset(ANY_SLOT).build();
        self.push(entry, Token::of_ring(Kind::Attach, lent), out);
    }

    /// An operation on a socket of this ring.
    pub(crate) fn submit(&mut self, operation: Operation, out: &mut VecDeque<Completion>) {
        let (entry, token) = match operation {
            Operation::Watch(socket) => {
                let entry = opcode::PollAdd::new(fixed(socket), u32::from(CAN_BE_READ | HAS_GONE)).multi(true).build();
                (entry, Token::of_socket(Kind::Watch, socket, 0))
            }
            Operation::Receive(socket) => {
                let operation = opcode::Recv::new(fixed(socket), std::ptr::null_mut(), BUFFER_SIZE as u32);
                let entry = operation.buf_group(GROUP).flags(libc::MSG_DONTWAIT).build();
                (entry.flags(squeue::Flags::BUFFER_SELECT), Token::of_socket(Kind::Receive, socket, 0))
            }
            Operation::Send { socket, bytes, from } => {
                let rest = bytes.get(from..).unwrap_or_default();
                let size = u32::try_from(rest.len()).unwrap_or(u32::MAX);
                let entry = opcode::Send::new(fixed(socket), rest.as_ptr(), size).flags(libc::MSG_NOSIGNAL).build();
                // The vector moves, its bytes do not.
                let previous = self.lent.sends.insert(socket.slot, Sending { bytes, from });
                assert!(previous.is_none(), "a socket sends once at a time");
                (entry, Token::of_socket(Kind::Send, socket, 0))
            }
            Operation::ShutDown(socket) => {
                let entry = opcode::Shutdown::new(fixed(socket), libc::SHUT_WR).build();
                (entry, Token::of_socket(Kind::ShutDown, socket, 0))
            }
            Operation::CancelWatch(socket) => cancel(Kind::Watch, socket),
            Operation::CancelSend(socket) => cancel(Kind::Send, socket),
            Operation::Close(socket) => {
                (opcode::Close::new(fixed(socket)).build(), Token::of_socket(Kind::Close, socket, 0))
            }
            Operation::Detach(socket) => {
                (opcode::FixedFdInstall::new(fixed(socket), 0).build(), Token::of_socket(Kind::Detach, socket, 0))
            }
            Operation::Accept | Operation::StopAccepting | Operation::Attach { .. } => {
                unreachable!("they are no operations on a socket of a ring")
            }
        };
        self.push(entry, token, out);
    }

    fn push(&mut self, entry: squeue::Entry, token: Token, out: &mut VecDeque<Completion>) {
        let entry = entry.user_data(token.pack());
        self.under_way += 1;
        // SAFETY: what the entry points to is in `lent` until its completion; a socket is named by its slot.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.enter(out);
        }
        self.unsubmitted += 1;
    }

    /// Begins what was submitted and collects what has ended, if there is either.
    pub(crate) fn turn(&mut self, out: &mut VecDeque<Completion>) {
        if self.unsubmitted > 0 || self.ring.submission().taskrun() || self.ring.submission().cq_overflow() {
            self.enter(out);
        }
    }

    fn enter(&mut self, out: &mut VecDeque<Completion>) {
        /// Run what waits to be completed, also when nothing is submitted and nothing is waited for.
        const GETEVENTS: u32 = 1;
        let count = self.ring.submission().len() as u32;
        // SAFETY: no signal mask is given.
        let entered = unsafe { self.ring.submitter().enter::<libc::sigset_t>(count, 0, GETEVENTS, None) };
        if let Err(error) = entered {
            let errno = Errno::from_io_error(&error);
            // BUSY: completions are to be collected first. INTR, AGAIN: again.
            let is_for_later = matches!(errno, Some(Errno::BUSY | Errno::INTR | Errno::AGAIN));
            assert!(is_for_later, "io_uring_enter failed with {error}: the ring was set up otherwise than it is used");
        }
        self.collect(out);
        self.unsubmitted = self.ring.submission().len() as u32;
    }

    fn collect(&mut self, out: &mut VecDeque<Completion>) {
        let ChildRing { ring, lent, number, generations, taken, under_way, .. } = self;
        for entry in ring.completion() {
            *under_way -= u64::from(!cqueue::more(entry.flags()));
            let token = Token::unpack(entry.user_data());
            let socket = token.socket(*number);
            let result = u32::try_from(entry.result()).map_err(|_| Errno::from_raw_os_error(-entry.result()));
            let name_of = |slot: u16| {
                let generation = generations.get(usize::from(slot)).copied().expect("a slot of the table");
                SocketId { ring: *number, slot, generation }
            };
            out.push_back(match token.kind {
                Kind::Accept => {
                    let address = lent.addresses.take_back(token.lent);
                    let accepted = result.map(|slot| (name_of(slot as u16), address.socket_address()));
                    *taken -= u32::from(accepted.is_err());
                    Completion::Accepted(accepted)
                }
                Kind::StopAccepting => continue,
                Kind::Watch => {
                    let has_gone = result.is_ok_and(|seen| seen & u32::from(HAS_GONE) != 0);
                    Completion::Watched { socket, is_armed: cqueue::more(entry.flags()), has_gone }
                }
                Kind::Receive => {
                    Completion::Received { socket, result: result.map(|size| received(*number, size, entry.flags())) }
                }
                Kind::Send => {
                    let Sending { bytes, from } = lent.sends.remove(&token.slot).expect("a send ends once");
                    Completion::Sent { socket, bytes, from, result: result.map(|size| size as usize) }
                }
                Kind::ShutDown => Completion::ShutDown(socket),
                Kind::Cancel => Completion::Cancelled(socket),
                Kind::Detach => {
                    // SAFETY: the kernel has made this descriptor for whoever sees this completion.
                    let own = |descriptor| unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) };
                    Completion::Detached { socket, result: result.map(own) }
                }
                Kind::Attach => {
                    let Arrival { number, place, .. } = lent.arrivals.take_back(token.lent);
                    let attached = result.map(|_| name_of(*place as u16));
                    *taken -= u32::from(attached.is_err());
                    Completion::Attached { number, result: attached }
                }
                Kind::Close => {
                    if let Some(generation) = generations.get_mut(usize::from(token.slot)) {
                        *generation = (*generation + 1) % GENERATIONS;
                    }
                    *taken -= 1;
                    Completion::Closed(socket)
                }
            });
        }
    }

    /// Whether this kernel lets a socket out of its table again.
    pub(crate) fn can_detach(&self) -> io::Result<bool> {
        let mut probe = Probe::new();
        self.ring.submitter().register_probe(&mut probe)?;
        Ok(probe.is_supported(opcode::FixedFdInstall::CODE))
    }

    pub(crate) fn buffers(&mut self) -> &mut BufferRing {
        self.lent.buffers.as_mut().expect("it is there as long as the ring")
    }
}

impl Drop for ChildRing {
    /// The kernel may still work on what was lent to it, so what is under way is ended first, or the memory is given up.
    fn drop(&mut self) {
        let mut out = VecDeque::new();
        let all = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.push(all, Token::of_ring(Kind::StopAccepting, 0), &mut out);
        for _ in 0..ENDING_TURNS_MAX {
            self.enter(&mut out);
            out.clear();
            if self.under_way == 0 {
                return;
            }
            std::thread::yield_now();
        }
        let Lent { sends, addresses, arrivals, .. } = &self.lent;
        if !(sends.is_empty() && addresses.is_empty() && arrivals.is_empty()) {
            std::mem::forget(std::mem::take(&mut self.lent));
        }
    }
}

/// By its token: the kernel finds that at once, while for a descriptor it looks at every watch of the ring.
fn cancel(kind: Kind, socket: SocketId) -> (squeue::Entry, Token) {
    let target = Token::of_socket(kind, socket, 0);
    (opcode::AsyncCancel::new(target.pack()).build(), Token::of_socket(Kind::Cancel, socket, 0))
}

fn fixed(socket: SocketId) -> Fixed {
    Fixed(u32::from(socket.slot))
}

fn received(ring: u16, size: u32, flags: u32) -> Received {
    match cqueue::buffer_select(flags) {
        Some(index) if size > 0 => {
            Received::Bytes { buffer: Buffer { ring, index, size }, has_more: cqueue::sock_nonempty(flags) }
        }
        // The kernel takes no buffer for an end.
        _ => Received::End,
    }
}

impl Address {
    fn socket_address(&self) -> SocketAddr {
        let port_at_16 = |port: u16| u16::from_be(port);
        match i32::from(self.storage.ss_family) {
            libc::AF_INET6 => {
                // SAFETY: the family says what lies there, and the storage is large enough for each.
                let address = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
                (IpAddr::from(address.sin6_addr.s6_addr), port_at_16(address.sin6_port)).into()
            }
            _ => {
                // SAFETY: likewise; of another family, which a TCP listener does not have, it is a wrong address.
                let address = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
                (IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()), port_at_16(address.sin_port)).into()
            }
        }
    }
}
