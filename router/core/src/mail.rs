//! What owners tell each other. Handled in order, within the turn in which it is sent.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::event::Receipt;
use protocol::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, UserId, UserSeq};
use protocol::link::ConnectionKey;
use storage_api::{DeviceRow, Entry, EntryKey, Standing};

use crate::links::{LinkId, PageSlot, PushTemplate};
use crate::orders::OrderId;
use crate::request::{ConversationRequest, OpenRequest};

/// A session as requests carry it: where its answers go and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionRef {
    pub(crate) link: LinkId,
    pub(crate) connection: ConnectionKey,
    pub(crate) user: UserId,
    /// 0 for a transient session.
    pub(crate) device: DeviceId,
}

/// Held by everything that an ack or a read mark of a device has set in motion: what says that it happened is saved when
/// nothing holds it any more.
pub(crate) type Ticket = Arc<()>;

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReceiptKind {
    Delivered,
    Read,
}

/// A user has got, or read, everything of a conversation up to here.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: ReceiptKind,
    pub(crate) user: UserId,
    pub(crate) up_to: Seq,
    /// Whose entries are new in it; `None` where that is not known.
    pub(crate) senders: Option<BTreeSet<UserId>>,
    pub(crate) ticket: Ticket,
}

pub(crate) enum Mail {
    Conversation(ConversationId, ToConversation),
    User(UserId, ToUser),
}

pub(crate) enum ToConversation {
    Request {
        session: SessionRef,
        request: ConversationRequest,
    },
    /// A user's log holds everything of this conversation up to here.
    Held {
        user: UserId,
        up_to: Seq,
    },
    /// A user's log ends at `after` and wants the rest.
    Pull {
        user: UserId,
        after: Seq,
    },
    Receipt(Told),
    /// Loads it, which repeats what may be lacking.
    Wake,
    /// The content of an entry is gone.
    Erased(Seq),
    /// The user is erased, and with that no member any more.
    Leave {
        user: UserId,
        ticket: Ticket,
    },
}

pub(crate) enum ToUser {
    Open {
        session: SessionRef,
        open: OpenRequest,
    },
    Close(SessionRef),
    Ack {
        session: SessionRef,
        user_seq: UserSeq,
    },
    Read {
        session: SessionRef,
        conversation: ConversationId,
        up_to: Seq,
    },
    Sync {
        session: SessionRef,
        request_id: u32,
        after: UserSeq,
        bytes_max: usize,
        page: PageSlot,
    },
    /// An entry this user may see; `prev` is the one before that it may see, 0 for none.
    Pointer {
        entry: Arc<Entry>,
        push: PushTemplate,
        prev: Seq,
    },
    /// The newest entry this user may see, without its content: pull what is lacking.
    Repeat {
        conversation: ConversationId,
        seq: Seq,
    },
    Pulled {
        conversation: ConversationId,
        entries: Vec<Arc<Entry>>,
        up_to: Seq,
    },
    Receipt {
        kind: ReceiptKind,
        receipt: Receipt,
        ticket: Ticket,
    },
    Typing {
        conversation: ConversationId,
        by: UserId,
        active: bool,
    },
    /// The content of an entry that this user could see is gone.
    Erased(EntryKey),
    ListDevices {
        session: SessionRef,
        request_id: u32,
    },
    Revoke {
        session: SessionRef,
        client_op_id: ClientMsgId,
        device: DeviceId,
        generation: DeviceGeneration,
    },
    /// The store knows the device now; `None`: there are too many.
    Registered {
        session: SessionRef,
        open: OpenRequest,
        device: Option<DeviceRow>,
    },
    /// A new standing of a device is durable.
    StandingChanged {
        device: DeviceId,
        standing: Standing,
        waiter: StandingWaiter,
    },
}

/// Who waits until a new standing of a device is durable.
#[derive(Clone, Debug)]
pub(crate) enum StandingWaiter {
    /// The operation that revokes it.
    Revoke { session: SessionRef, client_op_id: ClientMsgId },
    /// A session of the device, which is linked anew.
    Open { session: SessionRef, open: OpenRequest },
}

/// What an answer of the store is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Start,
    Write(Vec<Effect>),
    LoadConversation(ConversationId),
    TakeOver {
        conversation: ConversationId,
        head: Seq,
    },
    /// The request at the head of the conversation's inbox waits for it.
    Step(ConversationId),
    History {
        conversation: ConversationId,
        session: SessionRef,
        request_id: u32,
        #[expect(dead_code, reason = "holding it is its use")]
        page: PageSlot,
    },
    Pull {
        conversation: ConversationId,
        user: UserId,
        up_to: Seq,
    },
    /// Who has sent the entries from here on.
    Senders {
        conversation: ConversationId,
        told: Told,
        from: Seq,
    },
    LoadUser(UserId),
    Device {
        session: SessionRef,
        open: OpenRequest,
    },
    Push(SessionRef),
    SyncPage {
        session: SessionRef,
        request_id: u32,
        #[expect(dead_code, reason = "holding it is its use")]
        page: PageSlot,
    },
    /// The receipts that follow from an ack of events which are no longer at hand.
    AckedLog(UserId),
    Lookup {
        session: SessionRef,
        request_id: u32,
    },
    EraseEntry(OrderId, EntryKey),
    /// `None`: it was ordered in a former life.
    EraseUser(UserId, Option<OrderId>),
    ForgetUser(UserId),
    /// Who was erased in a former life and has not left all conversations.
    Leavers,
}

impl Purpose {
    /// Somebody has ordered it.
    pub(crate) fn is_of_order(&self) -> bool {
        matches!(self, Purpose::EraseEntry(..) | Purpose::EraseUser(..) | Purpose::ForgetUser(_) | Purpose::Leavers)
    }
}

/// What a durable write lets happen.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Entry(ConversationId, Seq),
    /// The tickets are given back with it.
    UserLog(UserId, UserSeq, #[expect(dead_code, reason = "dropping them is their use")] Vec<Ticket>),
    DeviceStanding {
        user: UserId,
        device: DeviceId,
        standing: Standing,
        waiter: StandingWaiter,
    },
}
