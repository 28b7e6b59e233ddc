//! What an owner may ask of the store.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Epoch, Ordinal, Realm, Seq, UserId, UserSeq};
use protocol::time::WallTime;

use crate::entry::{Entry, EntryKey, Identity, UserEvent};
use crate::rows::{ConversationRow, DeviceRow, LoggedEvent, Standing, UserRow, UserState};

/// Joins an answer to its request. Never reused within one life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreToken(pub u64);

/// One change. A write is complete when every row that follows from its mutations is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// An entry; its identity is found again for [`crate::DEDUP_DAYS`], and members follow from it.
    Entry(Arc<Entry>),
    /// Events of a user's log from `first_user_seq` on; what the user holds of each conversation follows from them.
    UserEvents {
        /// Whose log.
        user: UserId,
        /// Place of the first.
        first_user_seq: UserSeq,
        /// Under which ownership.
        epoch: Epoch,
        /// At least one.
        events: Vec<UserEvent>,
    },
    /// A device holds everything up to here. Never falls.
    DeviceCursor {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// Cumulative.
        user_seq: UserSeq,
    },
    /// A device is revoked, or linked anew. Never falls.
    DeviceStanding {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// From now on.
        standing: Standing,
    },
    /// The user has read up to here. Never falls.
    ReadCursor {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        seq: Seq,
        /// The count at that entry.
        ordinal: Ordinal,
    },
    /// Every member's log holds everything up to here. Never falls.
    Fanned {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        seq: Seq,
    },
}

/// One question or order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// After a crash possibly a part is there; with [`crate::StoreTraits::one_log`] the part is a prefix. Answered by
    /// `Written`.
    Write(Vec<Mutation>),
    /// Answered by `Conversation`.
    LoadConversation(ConversationId),
    /// Answered by `User`.
    LoadUser(UserId),
    /// In order of seq, `from..=to`, until `count_max` or about `bytes_max` is reached, at least one. An entry that has
    /// had its time is a void. Answered by `Entries`.
    ReadEntries {
        /// Where.
        conversation: ConversationId,
        /// First.
        from: Seq,
        /// Last.
        to: Seq,
        /// From `to` downwards instead of from `from` upwards; the answer is in order of seq all the same.
        newest_first: bool,
        /// Entries at most.
        count_max: usize,
        /// Bytes of messages at most, but one goes always.
        bytes_max: usize,
    },
    /// Events after `after` with the entries they name, until a bound is reached, at least one if there is one.
    /// Answered by `UserLog`, or with [`crate::StoreError::Expired`] when the first of them is no longer kept.
    ReadUserLog {
        /// Whose.
        user: UserId,
        /// Before the first.
        after: UserSeq,
        /// Events at most.
        count_max: usize,
        /// Bytes of messages at most, but one goes always.
        bytes_max: usize,
    },
    /// The entry with this identity. A hint: the caller compares. Answered by `Found`.
    FindIdentity {
        /// Where.
        conversation: ConversationId,
        /// What.
        identity: Identity,
    },
    /// Users of one realm by handle and by id; unknown ones are left out. Answered by `Users`.
    LookupUsers {
        /// Nobody of another realm is found.
        realm: Realm,
        /// Exact.
        handles: Vec<String>,
        /// Exact.
        ids: Vec<UserId>,
    },
    /// The user with this handle, created if need be. Answered by `Users`.
    EnsureUser {
        /// Where.
        realm: Realm,
        /// Unique in the realm.
        handle: String,
    },
    /// The device of this user with this install id, as it is, created if need be. Answered by `Device`.
    RegisterDevice {
        /// Whose.
        user: UserId,
        /// One installation.
        install_id: ClientMsgId,
        /// For people.
        name: String,
        /// Of a device that is created.
        registered_at: WallTime,
        /// A user with so many devices that are not revoked gets no other one.
        devices_max: usize,
    },
    /// Takes the content of a message away: from now on every read shows a void, and within 30 days its bytes are gone.
    /// Its place stays taken, and a retry under its client id still finds it while retries may come. Answered by
    /// `Erased`.
    EraseEntry(EntryKey),
    /// Takes a user away, with its devices, its log and the content of all that it has said: from now on there is no such
    /// user, every read shows voids, and within 30 days the bytes are gone. Its id is never given again. What is written
    /// for it later is of no account. Answered by `Leaving`; as often as it is asked.
    EraseUser(UserId),
    /// An erased user has left the conversations that `Leaving` named. Answered by `Written`.
    ForgetUser(UserId),
    /// Erased users for whom that has not come. Answered by `Users`, in order of id.
    ListLeaving,
    /// Conversations with entries that some member's log may lack. Answered by `Conversations`.
    ListUnfanned,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Durable.
    Written,
    /// `None`: no such conversation.
    Conversation(Option<ConversationRow>),
    /// `None`: no such user.
    User(Option<UserState>),
    /// In order of seq; of each seq the entry with the highest epoch.
    Entries(Vec<Arc<Entry>>),
    /// In order of user_seq, dense.
    UserLog(Vec<LoggedEvent>),
    /// `None`: not within the days that are kept.
    Found(Option<Arc<Entry>>),
    /// Those that exist.
    Users(Vec<UserRow>),
    /// The device. `None`: the user has too many to get another one.
    Device(Option<DeviceRow>),
    /// In order of id.
    Conversations(Vec<ConversationId>),
    /// What has become of the order to erase a message.
    Erased(Erasure),
    /// Where an erased user may still be a member; empty when it was forgotten. `None`: there was never such a user.
    Leaving(Option<Vec<ConversationId>>),
}

/// What has become of the order to erase a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Its content is gone, from now on or since before.
    Done,
    /// There is nothing at this place.
    NotThere,
    /// What is there says who came or went, and stays.
    NotAMessage,
}
