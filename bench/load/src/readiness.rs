//! Waiting, on glommio, until one descriptor is readable: an epoll, behind which any number of sockets idle, or a pipe.
//!
//! glommio waits for sockets only. A descriptor of another kind passes for one until it is read, which fails, and by then
//! it is readable, which is all that is asked. Its reads are never used.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_lite::{AsyncReadExt, FutureExt};

/// See the file's head.
pub(crate) struct Readiness {
    descriptor: OwnedFd,
    /// Its poll is in the ring.
    armed: Option<glommio::net::TcpStream>,
}

impl Readiness {
    /// Of this one, which is polled and never read.
    pub(crate) fn new(descriptor: OwnedFd) -> Readiness {
        Readiness { descriptor, armed: None }
    }

    /// Until it is readable, or so long; says whether it is.
    pub(crate) async fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        let stream = match &mut self.armed {
            Some(stream) => stream,
            none => {
                let descriptor = TcpStream::from(self.descriptor.try_clone()?);
                none.insert(glommio::net::TcpStream::from(socket2::Socket::from(descriptor)))
            }
        };
        let readable = async {
            let _is_no_socket = stream.read(&mut [0]).await;
            true
        };
        let late = async {
            glommio::timer::sleep(patience).await;
            false
        };
        let is_readable = readable.or(late).await;
        if is_readable {
            self.armed = None;
        }
        Ok(is_readable)
    }
}
