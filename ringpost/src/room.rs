//! A conversation as a person names it: with another user, or a group by its id.

use client::{Client, Reason};
use protocol::codes::Code;
use protocol::ids::{ConversationId, UserId};

use crate::access::Access;
use crate::command_line::{PastRoomArguments, RoomArguments};
use crate::mistake::{Exit, Mistake};
use crate::visit;

/// As it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoomName {
    With(String),
    Group(ConversationId),
}

/// As the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) conversation: ConversationId,
    /// The other one of a direct conversation.
    pub(crate) peer: Option<UserId>,
}

impl RoomName {
    fn of(user: Option<&String>, group: Option<ConversationId>) -> RoomName {
        match (user, group) {
            (Some(name), _) => RoomName::With(name.clone()),
            (None, Some(group)) => RoomName::Group(group),
            (None, None) => unreachable!("the command line demands one of the two"),
        }
    }

    /// What a shell needs to name it again.
    pub(crate) fn flag(&self) -> String {
        match self {
            RoomName::With(name) => format!("--to {}", crate::binary::quoted(name)),
            RoomName::Group(group) => format!("--group {group}"),
        }
    }

    /// Asks the server where need be.
    pub(crate) async fn find(&self, client: &Client) -> Result<Room, Mistake> {
        match self {
            RoomName::Group(group) => Ok(Room { conversation: *group, peer: None }),
            RoomName::With(name) => {
                let ids = visit::user_ids(client, std::slice::from_ref(name)).await?;
                // Whoever has answered has said before who we are.
                match (client.me().await, ids.first()) {
                    (Some(me), Some(peer)) => Room::direct(me.user, *peer),
                    _ => std::future::pending().await,
                }
            }
        }
    }

    /// What the data folder knows of it. `None` says nothing.
    pub(crate) fn find_beside(&self, access: &Access) -> Option<Result<Room, Mistake>> {
        match self {
            RoomName::Group(group) => Some(Ok(Room { conversation: *group, peer: None })),
            RoomName::With(name) => {
                let me = access.user_beside(access.name()?)?;
                Some(Room::direct(me, access.user_beside(name)?))
            }
        }
    }
}

impl From<&RoomArguments> for RoomName {
    fn from(arguments: &RoomArguments) -> RoomName {
        RoomName::of(arguments.to.as_ref(), arguments.group)
    }
}

impl From<&PastRoomArguments> for RoomName {
    fn from(arguments: &PastRoomArguments) -> RoomName {
        RoomName::of(arguments.with.as_ref(), arguments.group)
    }
}

impl Room {
    fn direct(me: UserId, peer: UserId) -> Result<Room, Mistake> {
        if me == peer {
            return Err(Mistake::new(Exit::Usage, "a conversation is with somebody else: name another user"));
        }
        Ok(Room { conversation: ConversationId::direct(me, peer), peer: Some(peer) })
    }

    /// A direct conversation is there from its first message on; until then it is empty, not unknown.
    pub(crate) fn is_empty_because_of(&self, reason: &Reason) -> bool {
        self.peer.is_some() && reason.code == Code::ConversationUnknown.number()
    }
}
