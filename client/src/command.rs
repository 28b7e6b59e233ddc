//! What an application wishes, on its way to the driver, and how it was granted.

use protocol::client::{Answer, Draft, HistoryRange, MemberDraft};
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, MessageId, Seq, UserId};
use protocol::wire::ConversationKind;
use tokio::sync::oneshot;

use crate::event::Ticket;
use crate::trouble::RequestError;

/// In order, and each answered; those for which there is no room wait, and the later ones with them.
pub(crate) struct Command {
    pub(crate) wish: Wish,
    pub(crate) reply: Reply,
}

pub(crate) type Reply = oneshot::Sender<Result<Granted, RequestError>>;

pub(crate) enum Wish {
    Send(Draft),
    CreateConversation { kind: ConversationKind, title: String, members: Vec<UserId> },
    ChangeMembers(MemberDraft),
    MarkRead(ConversationId, Seq),
    Typing(ConversationId, bool),
    History { conversation: ConversationId, range: HistoryRange, limit: u16 },
    Follow(Vec<(ConversationId, Seq)>),
    Members(ConversationId),
    LookUp { handles: Vec<String>, ids: Vec<UserId> },
    Devices,
    RevokeDevice(DeviceId, DeviceGeneration),
}

pub(crate) enum Granted {
    /// In the outbox under this id.
    Queued(ClientMsgId),
    /// The operation is done; `None` for one that is not done in a conversation.
    Operated(Option<MessageId>),
    Answered(Answer),
    Done,
}

/// What does not wait behind commands.
pub(crate) enum Control {
    Applied(Ticket),
    Close,
}
