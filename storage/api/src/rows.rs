//! What an owner learns when it loads a conversation or a user.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::ids::{
    ConversationId, DeviceGeneration, DeviceId, Epoch, Ordinal, Seq, StoreIncarnation, UserEpoch, UserId, UserSeq,
};
use protocol::time::WallTime;
use protocol::wire::{ConversationKind, Durability, Role};

use crate::entry::{Entry, UserEvent};

/// What differs between back ends and shows in how an owner works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTraits {
    /// Mutations become durable in the order in which they were given, in a write and over writes, so that after a crash
    /// a prefix is there: what follows from an entry may ride behind it in the same write.
    pub one_log: bool,
    /// What an acknowledged write has survived.
    pub durability: Durability,
    /// Which life of the store this is.
    pub incarnation: StoreIncarnation,
}

/// One stint of a member: the entries with `join <= seq <= left` are for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The entry that let the member in.
    pub join: Seq,
    /// The entry that ended it; `None` while it lasts.
    pub left: Option<Seq>,
}

/// A user who is or was in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// `None` once it has left.
    pub role: Role,
    /// In order; at least one.
    pub spans: Vec<Span>,
}

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Who.
    pub user: UserId,
    /// Cumulative.
    pub read: Seq,
}

/// A conversation as its owner finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRow {
    /// Fixed at creation.
    pub kind: ConversationKind,
    /// Empty for direct ones.
    pub title: String,
    /// The highest seq that any row has.
    pub head: Seq,
    /// The count at `head`.
    pub head_ordinal: Ordinal,
    /// The highest epoch of a row at `head`: of which ownership the tail is.
    pub head_epoch: Epoch,
    /// Everybody who is or was in it.
    pub members: Vec<MemberRow>,
    /// How far they have read.
    pub receipts: Vec<ReceiptRow>,
    /// Every member's log holds everything up to here.
    pub fanned: Seq,
}

/// What a user holds of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConversationRow {
    /// Which.
    pub conversation: ConversationId,
    /// Fixed at creation.
    pub kind: ConversationKind,
    /// The other user of a direct one.
    pub direct_peer: Option<UserId>,
    /// Empty for direct ones.
    pub title: String,
    /// The last entry in the user's log.
    pub held: Seq,
    /// The count at `held`.
    pub held_ordinal: Ordinal,
    /// When `held` came, as a place of the user's log.
    pub touched: UserSeq,
    /// Cumulative.
    pub read: Seq,
    /// The count at `read`.
    pub read_ordinal: Ordinal,
}

/// Who a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Never used again.
    pub id: UserId,
    /// Unique in the realm.
    pub handle: String,
}

/// Whether a device is served. Of two the greater one counts: a generation is revoked for good, and a device that is
/// linked anew goes on under the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Of what was issued to it last.
    pub generation: DeviceGeneration,
    /// Nothing of this generation, or of an earlier one, is served.
    pub revoked: bool,
}

impl Standing {
    /// Of a device that has just been registered.
    pub const FIRST: Standing = Standing { generation: DeviceGeneration(1), revoked: false };

    /// Whether a session that shows this generation is served.
    pub fn admits(self, generation: DeviceGeneration) -> bool {
        self == Standing { generation, revoked: false }
    }

    /// After a revoke.
    pub fn revoke(self) -> Standing {
        Standing { revoked: true, ..self }
    }

    /// After it was linked anew.
    pub fn link_anew(self) -> Standing {
        Standing { generation: DeviceGeneration(self.generation.0.saturating_add(1)), revoked: false }
    }
}

/// One installation of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Never used again.
    pub id: DeviceId,
    /// For people; as it called itself when it was registered.
    pub name: Box<str>,
    /// By the router's clock; 1970 where it is not known.
    pub registered_at: WallTime,
    /// Never falls.
    pub standing: Standing,
    /// It holds everything up to here.
    pub cursor: UserSeq,
}

impl DeviceRow {
    /// A device as it begins.
    pub fn new(id: DeviceId, name: &str, registered_at: WallTime) -> DeviceRow {
        DeviceRow { id, name: name.into(), registered_at, standing: Standing::FIRST, cursor: UserSeq(0) }
    }
}

/// A user as its owner finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserState {
    /// Who.
    pub row: UserRow,
    /// Which rebuild of the log.
    pub user_epoch: UserEpoch,
    /// Its end.
    pub head: UserSeq,
    /// The first place of the log that is still there; behind the end if none is.
    pub log_start: UserSeq,
    /// All, the revoked ones too.
    pub devices: Vec<DeviceRow>,
    /// At most [`crate::USER_CONVERSATIONS_MAX`], newest first.
    pub conversations: Vec<UserConversationRow>,
}

/// One place of a user's log with what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place.
    pub user_seq: UserSeq,
    /// What happened.
    pub event: UserEvent,
    /// The entry, where the event names one and it still exists.
    pub entry: Option<Arc<Entry>>,
}
