//! One process holds ten times as many sockets as it may have descriptors, and each of them works.
//!
//! The other ends are processes of their own: this program again, with an argument. Run by hand with another number of
//! sockets: `cargo test -p gateway-ring --test many_sockets -- 50000`.

#![allow(clippy::print_stdout, reason = "its processes talk over standard output")]

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["client", address, number, count] => clients::run(
            address.parse().expect("an address"),
            number.parse().expect("a number"),
            count.parse().expect("a number"),
        ),
        others => {
            let wanted = others.iter().find_map(|argument| argument.parse().ok());
            server::run(wanted.unwrap_or(server::SOCKETS_COUNT));
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}

/// Of one client process: each has descriptors for itself and some to spare.
#[cfg(target_os = "linux")]
const CLIENTS_COUNT: u32 = 18_000;

#[cfg(target_os = "linux")]
mod server {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use gateway_ring::{Event, KernelRings, RingsConfig, Sockets};

    use super::CLIENTS_COUNT;

    pub(super) const SOCKETS_COUNT: u32 = 200_000;
    const TIMEOUT: Duration = Duration::from_secs(180);

    pub(super) fn run(sockets_count: u32) {
        let descriptors_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        rustix::net::listen(&listener, 4096).expect("it is bound");
        let address = listener.local_addr().expect("bound");
        let (_button, bell) = UnixStream::pair().expect("a pair");
        let config = RingsConfig::for_sockets(sockets_count);
        let rings = KernelRings::new(config, listener, &bell).expect("io_uring is allowed here");
        let mut sockets = Sockets::new(rings, sockets_count);
        let mut clients = Clients::start(address, sockets_count);

        let (deadline, mut named, mut echoed) = (Instant::now() + TIMEOUT, 0, 0);
        let mut is_told = false;
        while echoed < u64::from(sockets_count) || sockets.count() > 0 {
            assert!(Instant::now() < deadline, "{} sockets, {echoed} echoes after {TIMEOUT:?}", sockets.count());
            sockets.turn(Duration::from_millis(100));
            while let Some(event) = sockets.next_event() {
                match event {
                    Event::Opened { socket, .. } => {
                        named += 1;
                        sockets.own(socket, socket.to_bits());
                    }
                    Event::Received { socket, buffer, .. } => {
                        let bytes = sockets.bytes(&buffer).to_vec();
                        sockets.give_back(socket, buffer);
                        sockets.send(socket, bytes);
                    }
                    Event::Sent { .. } => echoed += 1,
                    Event::ReadEnded { name } => sockets.abort(gateway_ring::SocketId::from_bits(name)),
                    Event::Closed { .. } | Event::Detached { .. } | Event::Attached { .. } => {}
                    Event::AcceptFailed(error) => panic!("nobody can be accepted: {error}"),
                    Event::WriteFailed { .. } => panic!("a client has gone"),
                }
            }
            if named == sockets_count && !is_told {
                is_told = true;
                assert_eq!(sockets.count(), sockets_count);
                println!("{sockets_count} sockets in one process that may have {descriptors_max:?} descriptors");
                clients.tell_all();
            }
        }
        clients.join();
        println!("each has sent back its byte, and all are closed");
    }

    struct Clients(Vec<Child>);

    impl Clients {
        fn start(address: SocketAddr, sockets_count: u32) -> Clients {
            let mut left = sockets_count;
            let mut children = Vec::new();
            while left > 0 {
                let count = left.min(CLIENTS_COUNT);
                left -= count;
                let mut command = Command::new(std::env::current_exe().expect("it runs"));
                command.args(["client", &address.to_string(), &children.len().to_string(), &count.to_string()]);
                let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
                children.push(child.expect("a process"));
            }
            Clients(children)
        }

        /// All are connected.
        fn tell_all(&mut self) {
            for child in &mut self.0 {
                child.stdin.take().expect("a pipe").write_all(b"go\n").expect("it waits");
            }
        }

        fn join(&mut self) {
            for child in &mut self.0 {
                let mut line = String::new();
                BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it speaks");
                assert_eq!(line, "done\n");
                assert!(child.wait().expect("a child").success());
            }
        }
    }

    impl Drop for Clients {
        fn drop(&mut self) {
            for child in &mut self.0 {
                // It may have ended by itself.
                let _ = child.kill();
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod clients {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

    /// Connections from one address to one port; with more of them the kernel looks long for a free port.
    const PER_ADDRESS_MAX: u32 = 9_000;

    pub(super) fn run(address: SocketAddr, number: u32, count: u32) {
        let mut streams: Vec<TcpStream> = (0..count).map(|index| connect_from(number, index, address)).collect();
        std::io::stdin().read_line(&mut String::new()).expect("a pipe");
        for stream in &mut streams {
            stream.write_all(&[number as u8]).expect("connected");
        }
        for stream in &mut streams {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("it comes back");
            assert_eq!(byte, [number as u8]);
        }
        println!("done");
    }

    fn connect_from(number: u32, index: u32, address: SocketAddr) -> TcpStream {
        let host = number * 16 + index / PER_ADDRESS_MAX;
        let from = Ipv4Addr::new(127, 1, (host >> 8) as u8, 1 + host as u8 % 250);
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a descriptor");
        bind(&socket, &SocketAddr::from((from, 0))).expect("all of 127.0.0.0/8 is here");
        connect(&socket, &address).expect("it listens");
        TcpStream::from(socket)
    }
}
