//! The port that clients connect to.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::acceptor::BACKLOG;

/// A port that is taken is asked for again for so long. The rings of a process that was killed are taken down by the
/// kernel after its end has been reported, and with them its listener: who starts the next one at once meets it still. With
/// half a million sockets on a busy machine that has taken 9 s.
const PATIENCE: Duration = Duration::from_secs(15);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Listens, as soon as the port is free. Takes [`PATIENCE`] at most.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = bind(address)?;
    // A second listen only changes the length of the queue.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let since = Instant::now();
    let mut is_told = false;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && since.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%address, "the port is in use; trying again for {} s", PATIENCE.as_secs());
                }
                thread::sleep(TRY_AGAIN_AFTER);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_while_the_port_is_being_given_up_gets_it() {
        let former = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = former.local_addr().expect("it has one");
        let next = thread::spawn(move || listen(address));
        // Whether it has tried before this does not matter: either way it has to end with the port.
        thread::sleep(10 * TRY_AGAIN_AFTER);
        assert!(!next.is_finished(), "two servers share a port");
        drop(former);
        let listener = next.join().expect("no panic").expect("the port is free");
        assert_eq!(listener.local_addr().expect("it has one"), address);
    }
}
