//! One connection to the server: a TCP socket, TLS around it, frames inside.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateway_transport::{Framer, RECORD_SIZE_MAX, TlsStage};
use protocol::frame;
use protocol::limits::FRAME_SIZE_MAX;
use protocol::time::Instant;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::trouble::Trouble;

/// What a connection that is closed for good may take to send its last words.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    stream: TcpStream,
    tls: TlsStage,
    framer: Framer,
    /// For the Hello, as long as TLS is not done.
    access_token: Option<String>,
    /// Sealed, for the socket. Bounded by what a session has in flight.
    outgoing: Vec<u8>,
    /// Decrypted, not cut into frames yet.
    plaintext: Vec<u8>,
    is_at_end: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, tls: TlsStage, access_token: String) -> Connection {
        let mut connection = Connection {
            stream,
            tls,
            framer: Framer::default(),
            access_token: Some(access_token),
            outgoing: Vec::new(),
            plaintext: Vec::new(),
            is_at_end: false,
        };
        connection.tls.take_outgoing(&mut connection.outgoing);
        connection
    }

    /// The token, once, when frames may be sent.
    pub(crate) fn take_access_token(&mut self) -> Option<String> {
        if self.tls.is_established() { self.access_token.take() } else { None }
    }

    /// Whether nothing more comes.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Waits for the socket and moves what it takes and gives. Nothing is lost when the future is dropped.
    pub(crate) async fn turn(&mut self) -> Result<(), Trouble> {
        let interest =
            if self.outgoing.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = self.stream.ready(interest).await.map_err(network)?;
        if ready.is_writable() {
            self.write_some()?;
        }
        if ready.is_readable() {
            self.read_some()?;
        }
        Ok(())
    }

    /// Takes the frames that have arrived, one after the other.
    pub(crate) fn take_frames(&mut self, now: Instant, mut take: impl FnMut(&[u8])) -> Result<(), Trouble> {
        let mut input = &self.plaintext[..];
        while let Some(frame) = self.framer.next_frame(now, &mut input, FRAME_SIZE_MAX).map_err(Trouble::Frame)? {
            take(frame);
        }
        self.plaintext.clear();
        Ok(())
    }

    /// Seals a frame; it goes out with the next turns.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<(), Trouble> {
        self.tls.seal(&[&frame::prefix(frame.len()), frame], &mut self.outgoing).map_err(Trouble::Tls)
    }

    /// Says that nothing more comes and writes what the socket takes at once.
    pub(crate) fn give_up(mut self) {
        self.tls.close();
        self.tls.take_outgoing(&mut self.outgoing);
        // Whether it arrives makes no difference to anybody.
        drop(self.write_some());
    }

    /// The same, and waits a while until all of it is written.
    pub(crate) async fn say_farewell(mut self) {
        self.tls.close();
        self.tls.take_outgoing(&mut self.outgoing);
        let writing = async {
            while !self.outgoing.is_empty() {
                self.stream.writable().await.map_err(network)?;
                self.write_some()?;
            }
            Ok::<(), Trouble>(())
        };
        // What does not go out is sent again by the next session.
        drop(tokio::time::timeout(FAREWELL_TIMEOUT, writing).await);
    }

    fn write_some(&mut self) -> Result<(), Trouble> {
        while !self.outgoing.is_empty() {
            match self.stream.try_write(&self.outgoing) {
                Ok(size) => drop(self.outgoing.drain(..size)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(network(error)),
            }
        }
        Ok(())
    }

    fn read_some(&mut self) -> Result<(), Trouble> {
        let mut incoming = [0; RECORD_SIZE_MAX];
        match self.stream.try_read(&mut incoming) {
            Ok(0) => self.is_at_end = true,
            Ok(size) => {
                let received = self.tls.receive(incoming.get(..size).unwrap_or_default(), &mut self.plaintext);
                self.tls.take_outgoing(&mut self.outgoing);
                if let Err(error) = received {
                    // The alert that says why.
                    drop(self.write_some());
                    return Err(Trouble::Tls(error));
                }
                self.is_at_end = self.tls.peer_has_closed();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(network(error)),
        }
        Ok(())
    }
}

pub(crate) fn network(error: io::Error) -> Trouble {
    Trouble::Network(Arc::new(error))
}
