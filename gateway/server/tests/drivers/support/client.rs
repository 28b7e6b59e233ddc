//! A client of blocking std sockets around the client's TLS stage.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use gateway_transport::{Framer, TlsClient, TlsStage};
use protocol::frame;
use protocol::limits::FRAME_SIZE_MAX;
use protocol::time::Instant;

/// A test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) stage: TlsStage,
    framer: Framer,
    plaintext: Vec<u8>,
}

impl Client {
    /// Does the handshake.
    pub(crate) fn connect(address: SocketAddr, tls: &TlsClient) -> Client {
        Client::try_connect(address, tls).expect("the gateway listens, and does not go away in the handshake")
    }

    /// Likewise, where it may not be wanted.
    pub(crate) fn try_connect(address: SocketAddr, tls: &TlsClient) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stage = tls.connect("localhost").expect("a DNS name");
        let mut client = Client { stream, stage, framer: Framer::default(), plaintext: Vec::new() };
        client.flush()?;
        while !client.stage.is_established() {
            if !client.read_some()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            client.flush()?;
        }
        Ok(client)
    }

    /// Sends a frame with its prefix.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.send_bytes(&[&frame::prefix(frame.len())[..], frame].concat());
    }

    /// Likewise, where nobody may be there.
    pub(crate) fn try_send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.try_send_bytes(&[&frame::prefix(frame.len())[..], frame].concat())
    }

    /// Sends any plaintext.
    pub(crate) fn send_bytes(&mut self, plaintext: &[u8]) {
        self.try_send_bytes(plaintext).expect("the gateway is there");
    }

    fn try_send_bytes(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let sealed = self.seal(plaintext);
        self.stream.write_all(&sealed)
    }

    /// What would be sent.
    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.stage.seal(&[plaintext], &mut sealed).expect("established");
        sealed
    }

    /// The next frame; `None` when the gateway has closed, in order.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        self.try_receive().expect("bytes or the end, not a reset")
    }

    /// Likewise, where it may be cut.
    pub(crate) fn try_receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut input = &self.plaintext[..];
            let frame = self.framer.next_frame(Instant(0), &mut input, FRAME_SIZE_MAX).expect("valid frames");
            let frame = frame.map(<[u8]>::to_vec);
            let cut = self.plaintext.len() - input.len();
            self.plaintext.drain(..cut);
            if frame.is_some() || !self.read_some()? {
                return Ok(frame);
            }
        }
    }

    /// The code of the GoAway that comes now, and nothing but the end after it.
    pub(crate) fn expect_go_away(&mut self) -> u16 {
        let frame = self.receive().expect("a frame before the end");
        let code = frame::server_frame(&frame).expect("verifies").body_as_go_away().expect("a GoAway").code();
        assert_eq!(self.receive(), None);
        assert!(self.stage.peer_has_closed(), "the end came without a close_notify");
        code
    }

    pub(crate) fn expect_echo(&mut self, frame: &[u8]) {
        self.send(frame);
        assert_eq!(self.receive().as_deref(), Some(frame));
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut outgoing = Vec::new();
        self.stage.take_outgoing(&mut outgoing);
        self.stream.write_all(&outgoing)
    }

    /// False at the end of the stream.
    fn read_some(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16_384];
        let size = self.stream.read(&mut buffer)?;
        self.stage.receive(&buffer[..size], &mut self.plaintext).expect("valid TLS");
        Ok(size > 0)
    }
}
