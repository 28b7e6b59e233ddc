//! The handle of a running client, and its events.

use protocol::client::{
    Answer, ClientSession, CommandError, Device, Draft, HistoryPage, HistoryRange, Me, MemberDraft, MembersPage, User,
};
use protocol::codes::Code;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Seq, UserId};
use protocol::wire::ConversationKind;
use tokio::sync::{mpsc, oneshot, watch};

use crate::TrustError;
use crate::command::{Command, Control, Granted, Wish};
use crate::config::{Config, Identity};
use crate::driver::{Channels, Driver, Status};
use crate::event::{Ticket, Told};
use crate::link::Dialer;
use crate::seed;
use crate::trouble::RequestError;
use crate::writer::Writer;

/// Commands on their way: more of them wait at their callers.
const COMMANDS_MAX: usize = 64;
/// Events on their way; those that wait are with the driver.
const EVENTS_MAX: usize = 64;

/// A running client. Clones are handles of the same one; it is closed with the last of them.
///
/// It connects, and stays connected, by itself. Whatever is asked of it while it is offline waits until it is online:
/// give it a time limit where that matters. Every call but [`Client::send`] is forgotten by the server's side when its
/// future is dropped before it is answered.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    controls: mpsc::UnboundedSender<Control>,
    status: watch::Receiver<Status>,
}

/// What happens, in order.
pub struct Events {
    events: mpsc::Receiver<Told>,
}

impl Client {
    /// Starts a client on the current tokio runtime, which needs time and I/O.
    pub fn connect(config: Config) -> Result<(Client, Events), TrustError> {
        let dialer = Dialer::new(&config)?;
        let (session, state_dir) = match config.identity {
            Identity::Device { state_dir, name } => {
                (ClientSession::new(state_dir.state().clone(), &name, seed::draw()), Some(state_dir))
            }
            Identity::LinkedAnew { state_dir, name } => {
                let mut session = ClientSession::new(state_dir.state().clone(), &name, seed::draw());
                session.link_anew();
                (session, Some(state_dir))
            }
            Identity::Transient => (ClientSession::transient(seed::draw()), None),
        };
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        // Unbounded, and bounded all the same: one ticket for each event that was told.
        let (control_sender, controls) = mpsc::unbounded_channel();
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (status_sender, status) = watch::channel(Status { me: None, outbox_len: session.outbox_len() });
        let channels = Channels { commands, controls, events: event_sender, status: status_sender };
        tokio::spawn(Driver::new(session, dialer, Writer::new(state_dir), channels).run());
        Ok((Client { commands: command_sender, controls: control_sender, status }, Events { events }))
    }

    /// As whom the server knows this client. Waits until it has said so; `None`: the client has closed before.
    pub async fn me(&self) -> Option<Me> {
        let mut status = self.status.clone();
        let status = status.wait_for(|status| status.me.is_some()).await.ok()?;
        status.me.clone()
    }

    /// Puts a message in the outbox and says under which id; it is on disk when [`crate::Event::Queued`] says so. Waits
    /// while the outbox is full. Answered by [`crate::Event::Acked`] or `Failed`.
    pub async fn send(&self, draft: Draft) -> Result<ClientMsgId, RequestError> {
        match self.ask(Wish::Send(draft)).await? {
            Granted::Queued(id) => Ok(id),
            _ => Err(not_an_answer()),
        }
    }

    /// Creates a group of these users and oneself; gives its id and its first entry.
    pub async fn create_group(&self, title: &str, members: &[UserId]) -> Result<MessageId, RequestError> {
        self.create(ConversationKind::Group, title, members).await
    }

    /// Creates a channel in which these users and oneself write, and which everybody of the realm may follow; gives its id
    /// and its first entry.
    pub async fn create_channel(&self, title: &str, members: &[UserId]) -> Result<MessageId, RequestError> {
        self.create(ConversationKind::Channel, title, members).await
    }

    async fn create(&self, kind: ConversationKind, title: &str, members: &[UserId]) -> Result<MessageId, RequestError> {
        self.operate(Wish::CreateConversation { kind, title: title.into(), members: members.into() }).await
    }

    /// Follows these channels, at most 200, in place of those before: tells of every message behind the entry that is
    /// named, in order ([`crate::Event::Published`]), until others are named. Answered when the server knows of all. Who
    /// writes in one gets its messages in the stream too.
    pub async fn follow(&self, channels: &[(ConversationId, Seq)]) -> Result<(), RequestError> {
        self.ask(Wish::Follow(channels.into())).await.map(drop)
    }

    /// Adds, removes, leaves, gives roles; gives the entry, or the end of the conversation where all was as wished.
    pub async fn change_members(&self, draft: MemberDraft) -> Result<MessageId, RequestError> {
        self.operate(Wish::ChangeMembers(draft)).await
    }

    /// The conversation has been opened up to here. Devices only.
    pub async fn mark_read(&self, conversation: ConversationId, up_to: Seq) -> Result<(), RequestError> {
        self.ask(Wish::MarkRead(conversation, up_to)).await.map(drop)
    }

    /// Somebody has begun, or stopped, to type here. Goes out now or never.
    pub async fn typing(&self, conversation: ConversationId, active: bool) -> Result<(), RequestError> {
        self.ask(Wish::Typing(conversation, active)).await.map(drop)
    }

    /// A page of a conversation, of at most `limit` entries, from 1 to 200, and of at most 60 KiB.
    pub async fn history(
        &self,
        conversation: ConversationId,
        range: HistoryRange,
        limit: u16,
    ) -> Result<HistoryPage, RequestError> {
        match self.ask(Wish::History { conversation, range, limit }).await? {
            Granted::Answered(Answer::History(page)) => Ok(page),
            _ => Err(not_an_answer()),
        }
    }

    /// Who is in a conversation.
    pub async fn members(&self, conversation: ConversationId) -> Result<MembersPage, RequestError> {
        match self.ask(Wish::Members(conversation)).await? {
            Granted::Answered(Answer::Members(page)) => Ok(page),
            _ => Err(not_an_answer()),
        }
    }

    /// Those of these names and ids that exist, at most 64 together.
    pub async fn look_up(&self, handles: &[String], ids: &[UserId]) -> Result<Vec<User>, RequestError> {
        match self.ask(Wish::LookUp { handles: handles.into(), ids: ids.into() }).await? {
            Granted::Answered(Answer::Users(users)) => Ok(users),
            _ => Err(not_an_answer()),
        }
    }

    /// One's devices: those that are not revoked first, and of each kind the newest.
    pub async fn devices(&self) -> Result<Vec<Device>, RequestError> {
        match self.ask(Wish::Devices).await? {
            Granted::Answered(Answer::Devices(devices)) => Ok(devices),
            _ => Err(not_an_answer()),
        }
    }

    /// A device of one's own is not served any more under this generation: its connection is closed, and it is refused
    /// until it is linked anew. When this is answered it is durable.
    pub async fn revoke_device(&self, device: DeviceId, generation: DeviceGeneration) -> Result<(), RequestError> {
        self.ask(Wish::RevokeDevice(device, generation)).await.map(drop)
    }

    /// The application is done with this event: it is shown and flushed, or stored.
    pub fn applied(&self, ticket: Ticket) {
        // A client that has ended has no use for it.
        drop(self.controls.send(Control::Applied(ticket)));
    }

    /// Messages and operations that are not answered, or whose answer is not applied.
    pub fn outbox_len(&self) -> usize {
        self.status.borrow().outbox_len
    }

    /// Waits until the outbox is empty: everything is answered, and every answer applied. Also ends when the client has
    /// closed; [`Client::outbox_len`] says which it was.
    pub async fn outbox_empty(&self) {
        let mut status = self.status.clone();
        drop(status.wait_for(|status| status.outbox_len == 0).await);
    }

    /// Closes the client: what was applied is on disk and the server is told, what is in the outbox stays there, and the
    /// state folder is free for the next one. Waits until that is so.
    pub async fn close(&self) {
        drop(self.controls.send(Control::Close));
        self.commands.closed().await;
    }

    async fn operate(&self, wish: Wish) -> Result<MessageId, RequestError> {
        match self.ask(wish).await? {
            Granted::Operated(Some(place)) => Ok(place),
            _ => Err(not_an_answer()),
        }
    }

    async fn ask(&self, wish: Wish) -> Result<Granted, RequestError> {
        let (reply, answer) = oneshot::channel();
        let closed = || RequestError::Command(CommandError::Closed);
        self.commands.send(Command { wish, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// A server that answers another question than was asked.
fn not_an_answer() -> RequestError {
    RequestError::Refused(Code::InternalError.into())
}

impl Events {
    /// The next one. `None`: the client has closed, for the reason that the event before said.
    pub async fn next(&mut self) -> Option<Told> {
        self.events.recv().await
    }
}
