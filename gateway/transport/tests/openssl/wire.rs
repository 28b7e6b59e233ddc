//! One of our stages on a real socket, and a server that echoes what it is told in capitals.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use gateway_transport::{TlsError, TlsServer, TlsStage};

pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) stage: TlsStage,
}

/// How a connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close_notify.
    Closed,
    /// Without.
    Cut,
    Failed(TlsError),
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, stage: TlsStage) -> Wire {
        let mut wire = Wire { stream, stage };
        wire.flush().expect("a fresh socket");
        wire
    }

    /// What comes next; `Err` with the end.
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, End> {
        loop {
            let mut incoming = [0; 4096];
            let size = match self.stream.read(&mut incoming) {
                Ok(0) | Err(_) => return Err(if self.stage.peer_has_closed() { End::Closed } else { End::Cut }),
                Ok(size) => size,
            };
            let mut plaintext = Vec::new();
            let received = self.stage.receive(&incoming[..size], &mut plaintext);
            // Whoever was told why may be gone already.
            let flushed = self.flush();
            received.map_err(End::Failed)?;
            flushed.map_err(|_| End::Cut)?;
            if !plaintext.is_empty() {
                return Ok(plaintext);
            }
        }
    }

    pub(crate) fn write(&mut self, plaintext: &[u8]) {
        let mut sealed = Vec::new();
        self.stage.seal(&[plaintext], &mut sealed).expect("established");
        self.stream.write_all(&sealed).expect("the peer reads");
    }

    /// Says that nothing follows.
    pub(crate) fn close(mut self) {
        self.stage.close();
        self.flush().expect("the peer reads");
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut outgoing = Vec::new();
        self.stage.take_outgoing(&mut outgoing);
        self.stream.write_all(&outgoing)
    }
}

/// Serves so many connections one after the other, and says how each of them ended.
pub(crate) fn echo_server(tls: TlsServer, connections: usize) -> (SocketAddr, JoinHandle<Vec<End>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serve = move || {
        let (stream, _) = listener.accept().expect("a client comes");
        let mut wire = Wire::new(stream, tls.accept());
        loop {
            match wire.read() {
                Ok(heard) => wire.write(&heard.to_ascii_uppercase()),
                Err(end) => return end,
            }
        }
    };
    (address, thread::spawn(move || (0..connections).map(|_| serve()).collect()))
}
