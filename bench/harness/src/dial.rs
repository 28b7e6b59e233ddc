//! How a connection of the load is made: without waiting, and from an address that leaves the kernel enough ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// From one address to another port; above some 14,000 connects become slow, as free ports are hard to find.
const CONNECTIONS_PER_ADDRESSES_MAX: usize = 12_000;

/// Where connections go to.
#[derive(Clone, Debug)]
pub struct Dial {
    /// At least one.
    servers: Vec<SocketAddr>,
}

impl Dial {
    /// To these, in turn.
    pub fn new(servers: Vec<SocketAddr>) -> Dial {
        assert!(!servers.is_empty(), "a load goes somewhere");
        Dial { servers }
    }

    /// How many there may be: on loopback each run of connections comes from an address of its own.
    pub fn connections_max(&self) -> usize {
        let is_loopback = self.servers.iter().all(|server| server.ip().is_loopback() && server.is_ipv4());
        if is_loopback { usize::MAX } else { self.servers.len() * CONNECTIONS_PER_ADDRESSES_MAX }
    }

    /// Begins the connection of this number among all of the run. It may not be there yet, or never come.
    pub fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let server = *self.servers.get(number % self.servers.len()).expect("there is one");
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        if server.is_ipv4() && server.ip().is_loopback() {
            bind(&socket, &SocketAddr::from((source(number), 0)))?;
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(error.into()),
        }
    }
}

/// 127.0.0.2 for the first ones, and so on.
fn source(number: usize) -> Ipv4Addr {
    let run = u32::try_from(number / CONNECTIONS_PER_ADDRESSES_MAX).unwrap_or_default();
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_connections_has_an_address_of_its_own() {
        assert_eq!(source(11_999), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source(12_000), Ipv4Addr::new(127, 0, 0, 3));
        assert_eq!(source(999_999), Ipv4Addr::new(127, 0, 0, 85));
    }

    #[test]
    fn a_server_elsewhere_sets_a_bound() {
        let dial = |server: &str| Dial::new(vec![server.parse().expect("an address")]);
        assert_eq!(dial("192.0.2.1:7443").connections_max(), 12_000);
        assert_eq!(dial("127.0.0.1:7443").connections_max(), usize::MAX);
    }
}
