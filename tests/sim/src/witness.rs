//! Looks over a client's shoulder: whatever a server sends it is decoded here, apart from what the client makes of it,
//! and goes into the ledger. What is called durable is compared with storage at that very moment.

use protocol::codes::Code;
use protocol::event::Event;
use protocol::frame;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId, UserSeq};
use protocol::time::Instant;
use protocol::wire::{self, OpStatus, ServerBody};

use crate::checker;
use crate::ledger::Ledger;
use crate::promise::Broken;
use crate::sighting::{Content, Name, StreamEvent};
use crate::store::Store;

/// Whose shoulder.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// The user.
    pub user: UserId,
    /// The device; 0 for a transient session.
    pub device: DeviceId,
    /// When its last Hello was sent, by true time.
    pub hello_at: Instant,
}

/// A frame has reached a client. A Welcome says which device it is.
pub fn observe(watched: &mut Watched, bytes: &[u8], ledger: &mut Ledger, store: &mut dyn Store) -> Result<(), Broken> {
    let frame = frame::server_frame(bytes).expect("servers send valid frames");
    if let Some(welcome) = frame.body_as_welcome() {
        watched.device = DeviceId(welcome.device_id());
        let generation = DeviceGeneration(welcome.device_generation());
        checker::check_welcome(ledger, (watched.device, generation), watched.hello_at)?;
    }
    let mut witness = Witness { watched: *watched, ledger, store };
    match frame.body_type() {
        ServerBody::MessageAck => witness.message_ack(frame.body_as_message_ack()),
        ServerBody::OpAck => witness.op_ack(frame.body_as_op_ack()),
        ServerBody::Push => {
            let push = frame.body_as_push().expect("it says so");
            witness.events(push.first_user_seq(), push.events())
        }
        ServerBody::SyncPage => {
            let page = frame.body_as_sync_page().expect("it says so");
            witness.events(page.first_user_seq(), page.events())
        }
        ServerBody::ChannelPush => witness.published(frame.body_as_channel_push()),
        ServerBody::HistoryPage => witness.history(frame.body_as_history_page()),
        ServerBody::Snapshot => {
            let snapshot = frame.body_as_snapshot().expect("it says so");
            let conversations = snapshot.conversations().into_iter().flatten();
            conversations.for_each(|summary| witness.glimpse(summary.conversation().into()));
            Ok(())
        }
        ServerBody::MembersPage => {
            let page = frame.body_as_members_page().expect("it says so");
            witness.glimpse(page.conversation().into());
            Ok(())
        }
        ServerBody::Ephemeral => {
            let typing = frame.body_as_ephemeral().and_then(|ephemeral| ephemeral.body_as_typing());
            witness.glimpse(typing.expect("there is no other kind").conversation().into());
            Ok(())
        }
        ServerBody::Error => {
            let code = frame.body_as_error().expect("it says so").code();
            assert!(!is_our_fault(Code::from_number(code)), "a client of ours was refused with {code}");
            witness.refused(code);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Codes that only a client earns that does not keep the rules.
fn is_our_fault(code: Option<Code>) -> bool {
    matches!(code, None | Some(Code::Malformed | Code::TooLarge | Code::ClientIdInFuture | Code::ClientIdTooOld))
}

struct Witness<'a> {
    watched: Watched,
    ledger: &'a mut Ledger,
    store: &'a mut dyn Store,
}

impl Witness<'_> {
    fn name(&self, client_id: ClientMsgId) -> Name {
        Name { sender: self.watched.user, device: self.watched.device, client_id }
    }

    fn message_ack(&mut self, ack: Option<wire::MessageAck<'_>>) -> Result<(), Broken> {
        let ack = ack.expect("it says so");
        let (name, place) = (self.name(ack.client_msg_id().into()), (ack.conversation().into(), Seq(ack.seq())));
        self.ledger.ack(name, place)?;
        if self.ledger.may_be_void(place) { Ok(()) } else { checker::check_ack(self.store, name, place) }
    }

    fn op_ack(&mut self, ack: Option<wire::OpAck<'_>>) -> Result<(), Broken> {
        let ack = ack.expect("it says so");
        self.refused(ack.code());
        let (OpStatus::Done, Some(conversation)) = (ack.status(), ack.conversation()) else { return Ok(()) };
        let (name, place) = (self.name(ack.client_op_id().into()), (conversation.into(), Seq(ack.seq())));
        // An operation that finds everything as it should be makes no entry and is done at the head.
        let makes_an_entry = checker::check_ack(self.store, name, place).is_ok();
        if makes_an_entry { self.ledger.ack(name, place) } else { Ok(()) }
    }

    fn events<'a>(
        &mut self,
        first_user_seq: u64,
        events: Option<impl IntoIterator<Item = wire::Event<'a>>>,
    ) -> Result<(), Broken> {
        for (event, user_seq) in events.into_iter().flatten().zip(first_user_seq..) {
            let Watched { user, device, .. } = self.watched;
            let event = Event::decode(event).expect("servers send valid events");
            let event = StreamEvent::seen(&event, user, device).expect("this server is of this version");
            if let StreamEvent::Entry(place, content) = &event {
                self.ledger.see(user, *place, content)?;
            }
            if !event.place().is_some_and(|place| self.ledger.may_be_void(place)) {
                checker::check_event(self.store, user, UserSeq(user_seq), &event)?;
            }
        }
        Ok(())
    }

    fn published(&mut self, push: Option<wire::ChannelPush<'_>>) -> Result<(), Broken> {
        let push = push.expect("it says so");
        for event in push.events().into_iter().flatten() {
            let event = Event::decode(event).expect("servers send valid events");
            // A follower has no stream of its own in it, so nothing is an echo.
            let event = StreamEvent::seen(&event, UserId(0), DeviceId(0));
            let Some(StreamEvent::Entry(place, content)) = event else { panic!("a channel tells of entries") };
            self.ledger.see(self.watched.user, place, &content)?;
            if !self.ledger.may_be_void(place) {
                checker::check_published(self.store, place, &content)?;
            }
        }
        Ok(())
    }

    fn history(&mut self, page: Option<wire::HistoryPage<'_>>) -> Result<(), Broken> {
        let page = page.expect("it says so");
        self.glimpse(page.conversation().into());
        for event in page.entries().into_iter().flatten() {
            let Watched { user, device, .. } = self.watched;
            let event = Event::decode(event).expect("servers send valid events");
            let Some(StreamEvent::Entry(place, content)) = StreamEvent::seen(&event, user, device) else {
                panic!("a history holds {event:?}");
            };
            if content != Content::Void {
                self.ledger.see(user, place, &content)?;
            }
        }
        Ok(())
    }

    fn refused(&mut self, code: u16) {
        self.ledger.refused_disk_low += u64::from(Code::from_number(code) == Some(Code::DiskLow));
    }

    /// Something of a conversation shows, if only that it is there.
    fn glimpse(&mut self, conversation: ConversationId) {
        self.ledger.glimpses.insert((self.watched.user, conversation));
    }
}
