//! The router's end of the link: acks every message and pushes it back to where it came from.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{SessionId, StoreIncarnation, UserEpoch, UserSeq};
use protocol::link::{ConnectionKey, GatewayMessage, LINK_VERSION, LinkEnd, RouterHello, RouterMessage, SessionOpened};
use protocol::wire::{self, ClientBody, Durability, ServerBody};
use protocol_shell::{LinkClosed, LinkTransport};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Ends with the gateway.
pub(crate) fn start(link: LinkTransport) -> JoinHandle<()> {
    thread::spawn(move || {
        let _ = route(link);
    })
}

fn route(mut link: LinkTransport) -> Result<(), LinkClosed> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut end = LinkEnd::default();
    let mut answers = Answers::new();
    loop {
        let batch = match link.receiver.poll_receive(&mut context) {
            Poll::Pending => {
                thread::park();
                continue;
            }
            Poll::Ready(batch) => batch?,
        };
        end.handle_batch_of_gateway(&batch, |end, message| answers.give(end, message)).expect("a valid batch");
        link.receiver.give_back(batch);
        end.beat();
        while let Poll::Ready(room) = link.sender.poll_room(&mut context) {
            room?;
            link.sender.take_spent().into_iter().for_each(|spent| end.take_back(spent));
            let Some(batch) = end.poll_batch() else { break };
            link.sender.send(batch)?;
        }
    }
}

/// What every message is answered with.
struct Answers {
    ack: Vec<u8>,
    push: Vec<u8>,
    user_seq_offset: usize,
    user_seq: UserSeq,
}

impl Answers {
    fn new() -> Answers {
        let mut frames = FrameBuilder::default();
        let ack = frames.server(|fbb| {
            let id = wire::ClientMsgId::default();
            let args = wire::OpAckArgs { client_op_id: Some(&id), ..Default::default() };
            (ServerBody::OpAck, wire::OpAck::create(fbb, &args).as_union_value())
        });
        let ack = ack.to_vec();
        let (push, user_seq_offset) = frames.push_template(&Event::Void(None));
        Answers { ack, push: push.to_vec(), user_seq_offset, user_seq: UserSeq(0) }
    }

    fn give(&mut self, end: &mut LinkEnd, message: GatewayMessage<'_>) {
        match message {
            GatewayMessage::Hello(_) => {
                let hello = RouterHello {
                    version: LINK_VERSION,
                    router_incarnation: 1,
                    store_incarnation: StoreIncarnation(1),
                    durability: Durability::Fsync,
                };
                end.send_to_gateway(&RouterMessage::Hello(hello)).expect("it is free");
            }
            GatewayMessage::SessionOpen(open) => {
                let opened = SessionOpened {
                    connection: open.connection,
                    session: SessionId(1),
                    user: open.user,
                    handle: "alice",
                    device: open.device,
                    device_generation: open.device_generation,
                    resumed: true,
                    user_epoch: UserEpoch(1),
                    user_head: UserSeq(0),
                };
                end.send_to_gateway(&RouterMessage::SessionOpened(opened)).expect("it is free");
            }
            GatewayMessage::SessionClose(_) | GatewayMessage::ChannelLeft { .. } => {}
            GatewayMessage::ClientRequest { connection, frame } => self.answer(end, connection, frame),
        }
    }

    fn answer(&mut self, end: &mut LinkEnd, connection: ConnectionKey, frame: &[u8]) {
        end.release(LinkEnd::cost(frame.len()));
        if frame::client_frame(frame).expect("the gateway has verified it").body_type() != ClientBody::MessageSend {
            return;
        }
        let ack = RouterMessage::Deliver { connection, user_seq_last: UserSeq(0), frame: &self.ack };
        end.send_to_gateway(&ack).expect("the window is open");
        self.user_seq = self.user_seq.next();
        let target = [(connection, self.user_seq)];
        end.send_fanout(&target, self.user_seq_offset, &self.push).expect("the window is open");
    }
}
