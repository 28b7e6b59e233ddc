//! A client that sends and acks from buffers that it has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gateway_transport::{Framer, TlsStage};
use protocol::encode::FrameBuilder;
use protocol::frame;
use protocol::ids::{ClientMsgId, ConversationId, Realm, UserId};
use protocol::limits::FRAME_SIZE_MAX;
use protocol::time::Instant;
use protocol::wire::{self, ClientBody, ServerBody};
use protocol_shell::clock;

use crate::support::Bench;

pub(crate) struct Sender {
    line: Line,
    frames: FrameBuilder,
    sent_count: u64,
}

struct Line {
    stream: TcpStream,
    stage: TlsStage,
    framer: Framer,
    sealed: Vec<u8>,
}

impl Sender {
    /// Has said hello and was welcomed.
    pub(crate) fn welcomed(bench: &Bench) -> Sender {
        let client = bench.connect();
        client.stream.set_nodelay(true).expect("a socket");
        let (framer, sealed) = (Framer::default(), Vec::new());
        let line = Line { stream: client.stream, stage: client.stage, framer, sealed };
        let mut sender = Sender { line, frames: FrameBuilder::default(), sent_count: 0 };
        let token = String::from_utf8(bench.token(Duration::from_secs(600))).expect("tokens are text");
        let hello = sender.frames.client(None, |fbb| {
            let access_token = Some(fbb.create_string(&token));
            let install_id = ClientMsgId::new(clock::now().wall, 1).into();
            let args = wire::HelloArgs {
                version_min: 1,
                version_max: 1,
                access_token,
                install_id: Some(&install_id),
                ..Default::default()
            };
            (ClientBody::Hello, wire::Hello::create(fbb, &args).as_union_value())
        });
        sender.line.send(hello);
        sender.line.await_frames(&[ServerBody::Welcome]);
        sender
    }

    /// Sends a message, waits for its ack and for its push, and acks that.
    pub(crate) fn exchange(&mut self) {
        self.sent_count += 1;
        let (now, number) = (clock::now().wall, self.sent_count);
        let message = self.frames.client(None, |fbb| {
            let conversation = ConversationId::direct(UserId::new(Realm(1), 1), UserId::new(Realm(1), 2)).into();
            let client_msg_id = ClientMsgId::new(now, number.into()).into();
            let (content_type, body) = (fbb.create_string("text/plain"), fbb.create_vector(&[b'x'; 128]));
            let args = wire::MessageSendArgs {
                conversation: Some(&conversation),
                direct_peer: UserId::new(Realm(1), 2).0,
                client_msg_id: Some(&client_msg_id),
                content_type: Some(content_type),
                body: Some(body),
                ..Default::default()
            };
            (ClientBody::MessageSend, wire::MessageSend::create(fbb, &args).as_union_value())
        });
        self.line.send(message);
        self.line.await_frames(&[ServerBody::OpAck, ServerBody::Push]);
        let ack = self.frames.client(None, |fbb| {
            let ack = wire::Ack::create(fbb, &wire::AckArgs { user_seq: number });
            (ClientBody::Ack, ack.as_union_value())
        });
        self.line.send(ack);
    }
}

impl Line {
    fn send(&mut self, frame: &[u8]) {
        self.sealed.clear();
        self.stage.seal(&[&frame::prefix(frame.len()), frame], &mut self.sealed).expect("established");
        self.stream.write_all(&self.sealed).expect("the gateway is there");
    }

    /// These and no others.
    fn await_frames(&mut self, mut kinds: &[ServerBody]) {
        let mut buffer = [0; 16 * 1024];
        while !kinds.is_empty() {
            let size = self.stream.read(&mut buffer).expect("the gateway is there");
            assert!(size > 0, "the gateway has closed");
            let mut incoming = &mut buffer[..size];
            while let Some(mut plaintext) = self.stage.next_plaintext(&mut incoming).expect("valid TLS") {
                let framer = &mut self.framer;
                while let Some(frame) = framer.next_frame(Instant(0), &mut plaintext, FRAME_SIZE_MAX).expect("frames") {
                    let frame = frame::server_frame(frame).expect("it verifies");
                    assert_eq!(kinds.split_off_first(), Some(&frame.body_type()), "{:?}", frame.body_as_error());
                }
            }
        }
    }
}
