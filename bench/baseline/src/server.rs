//! The server of the baseline.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::wire::{Kind, Record};

const LISTENER: u64 = u64::MAX;
const EVENTS_AT_ONCE: usize = 1024;
const READ_SIZE: usize = 16 * 1024;
/// Between two ticks of one end, as in the product.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How long what a socket has not taken waits for the next attempt.
const RETRY: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    outgoing: Vec<u8>,
    /// The pair, and the end of it.
    place: Option<(u64, u64)>,
    ticked_at: Option<Instant>,
}

struct Server {
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    accepted_count: u64,
    by_place: HashMap<(u64, u64), u64>,
    /// Connections with something to send at the end of a turn.
    dirty: Vec<u64>,
}

/// Serves until the process ends.
pub fn serve(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener.as_fd(), epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let (connections, by_place) = (HashMap::new(), HashMap::new());
    let mut server = Server { epoll, connections, accepted_count: 0, by_place, dirty: Vec::new() };
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    loop {
        events.clear();
        let timeout = (!server.dirty.is_empty()).then_some(&RETRY);
        epoll::wait(&server.epoll, spare_capacity(&mut events), timeout)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => server.accept(&listener)?,
                key => server.receive(key),
            }
        }
        server.flush();
    }
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let key = self.accepted_count;
            self.accepted_count += 1;
            epoll::add(&self.epoll, stream.as_fd(), epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
            let connection =
                Connection { stream, received: Vec::new(), outgoing: Vec::new(), place: None, ticked_at: None };
            self.connections.insert(key, connection);
        }
        Ok(())
    }

    fn receive(&mut self, key: u64) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let mut buffer = [0; READ_SIZE];
        match connection.stream.read(&mut buffer) {
            Ok(size @ 1..) => connection.received.extend_from_slice(buffer.get(..size).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {
                let gone = self.connections.remove(&key);
                gone.and_then(|gone| gone.place).and_then(|place| self.by_place.remove(&place));
                return;
            }
        }
        let received = std::mem::take(&mut connection.received);
        let mut rest = &received[..];
        while let Some((record, size)) = Record::decode(rest) {
            self.handle(key, record);
            rest = rest.get(size..).unwrap_or_default();
        }
        let rest = rest.to_vec();
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.received = rest;
        }
    }

    fn handle(&mut self, key: u64, record: Record) {
        match record.kind {
            Kind::Join => {
                let place = (record.first, record.second);
                self.by_place.insert(place, key);
                self.connections.entry(key).and_modify(|connection| connection.place = Some(place));
            }
            Kind::Message => {
                self.queue(key, Record { kind: Kind::Answer, ..record });
                self.queue_to_other(key, record);
            }
            Kind::Ack if self.is_tick_due(key) => self.queue_to_other(key, Record { kind: Kind::Tick, ..record }),
            Kind::Ack => {}
            Kind::Answer | Kind::Tick => {}
        }
    }

    fn is_tick_due(&mut self, key: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&key) else { return false };
        let is_due = connection.ticked_at.is_none_or(|at| at.elapsed() >= TICK_INTERVAL);
        if is_due {
            connection.ticked_at = Some(Instant::now());
        }
        is_due
    }

    fn queue_to_other(&mut self, key: u64, record: Record) {
        let place = self.connections.get(&key).and_then(|connection| connection.place);
        let other = place.and_then(|(pair, end)| self.by_place.get(&(pair, 1 - end)).copied());
        other.into_iter().for_each(|other| self.queue(other, record));
    }

    fn queue(&mut self, key: u64, record: Record) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.outgoing.is_empty() {
            self.dirty.push(key);
        }
        record.encode(&mut connection.outgoing);
    }

    /// One write a connection and turn. What the socket does not take goes with the next one.
    fn flush(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            if let Ok(size) = connection.stream.write(&connection.outgoing) {
                connection.outgoing.drain(..size);
            }
            if !connection.outgoing.is_empty() {
                self.dirty.push(key);
            }
        }
    }
}
