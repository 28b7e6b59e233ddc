//! A client of blocking std sockets around the client's TLS stage.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use gateway_transport::{Framer, TlsClient, TlsStage};
use protocol::frame;
use protocol::limits::FRAME_SIZE_MAX;
use protocol::time::Instant;

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) stage: TlsStage,
    framer: Framer,
    plaintext: Vec<u8>,
}

impl Client {
    /// Does the handshake.
    pub(crate) fn connect(address: SocketAddr, tls: &TlsClient) -> Client {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        let stage = tls.connect("localhost").expect("a DNS name");
        let mut client = Client { stream, stage, framer: Framer::default(), plaintext: Vec::new() };
        client.flush();
        while !client.stage.is_established() {
            assert!(client.read_some(), "the gateway went away in the handshake");
            client.flush();
        }
        client
    }

    /// Sends a frame with its prefix.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.send_bytes(&[&frame::prefix(frame.len())[..], frame].concat());
    }

    /// Sends any plaintext.
    pub(crate) fn send_bytes(&mut self, plaintext: &[u8]) {
        let sealed = self.seal(plaintext);
        self.stream.write_all(&sealed).expect("the gateway is there");
    }

    /// What would be sent.
    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.stage.seal(&[plaintext], &mut sealed).expect("established");
        sealed
    }

    /// The next frame; `None` when the gateway has closed, in order.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut input = &self.plaintext[..];
            let frame = self.framer.next_frame(Instant(0), &mut input, FRAME_SIZE_MAX).expect("valid frames");
            let frame = frame.map(<[u8]>::to_vec);
            let cut = self.plaintext.len() - input.len();
            self.plaintext.drain(..cut);
            if frame.is_some() || !self.read_some() {
                return frame;
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

    fn flush(&mut self) {
        let mut outgoing = Vec::new();
        self.stage.take_outgoing(&mut outgoing);
        self.stream.write_all(&outgoing).expect("the gateway is there");
    }

    /// False at the end of the stream.
    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        let size = self.stream.read(&mut buffer).expect("bytes or the end, not a reset");
        self.stage.receive(&buffer[..size], &mut self.plaintext).expect("valid TLS");
        size > 0
    }
}
