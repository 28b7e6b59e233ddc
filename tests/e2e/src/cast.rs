//! Who takes part in a load: users with one or two devices, in direct conversations and a group.

use anyhow::Result;
use protocol::ids::{ConversationId, UserId};

use crate::fact::DeviceIndex;
use crate::site::Site;

/// Users that a server needs beside alice and bob.
pub const MORE_USERS: &[&str] = &["carol", "dave"];

/// By device: whose it is.
const OWNERS: &[&str] = &["alice", "bob", "carol", "dave", "alice", "carol"];
const PAIRS: &[(&str, &str)] = &[("alice", "bob"), ("carol", "dave")];
const EVERYBODY: &[&str] = &["alice", "bob", "carol", "dave"];

const GROUP_SIZE: usize = 8;

/// Users that a server needs for a crowd of so many.
pub fn crowd_names(users_count: usize) -> Vec<String> {
    (0..users_count).map(|index| format!("user-{index}")).collect()
}

/// A conversation and who is in it.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its id.
    pub conversation: ConversationId,
    /// All of them.
    pub members: Vec<UserId>,
    /// Whether it is of two.
    pub is_direct: bool,
}

impl Room {
    /// The other one of a direct conversation.
    pub fn direct_peer(&self, me: UserId) -> Option<UserId> {
        self.members.iter().copied().find(|member| self.is_direct && *member != me)
    }
}

/// See the file's head.
#[derive(Clone, Debug)]
pub struct Cast {
    /// By device: whose it is.
    pub owners: Vec<UserId>,
    /// All conversations.
    pub rooms: Vec<Room>,
}

impl Cast {
    /// Makes the group. The server has alice, bob and [`MORE_USERS`].
    pub async fn assemble(site: &Site) -> Result<Cast> {
        let users = |names: &[&str]| names.iter().map(|name| site.user(name)).collect::<Result<Vec<_>>>();
        let mut rooms = Vec::new();
        for (one, other) in PAIRS {
            let members = users(&[one, other])?;
            let conversation = ConversationId::direct(site.user(one)?, site.user(other)?);
            rooms.push(Room { conversation, members, is_direct: true });
        }
        let members = users(EVERYBODY)?;
        let (founder, _events) = site.transient(site.user("alice")?)?;
        let group = founder.create_group("everybody", &members).await?;
        founder.close().await;
        rooms.push(Room { conversation: group.conversation, members, is_direct: false });
        Ok(Cast { owners: users(OWNERS)?, rooms })
    }

    /// Makes a crowd of the users that [`crowd_names`] names, each with one device: pairs, and groups of eight.
    pub async fn crowd(site: &Site, users_count: usize) -> Result<Cast> {
        let owners = crowd_names(users_count).iter().map(|name| site.user(name)).collect::<Result<Vec<_>>>()?;
        let mut rooms = Vec::new();
        for pair in owners.chunks_exact(2) {
            let conversation = ConversationId::direct(pair[0], pair[1]);
            rooms.push(Room { conversation, members: pair.to_vec(), is_direct: true });
        }
        for members in owners.chunks(GROUP_SIZE) {
            let (founder, _events) = site.transient(members[0])?;
            let group = founder.create_group("some", members).await?;
            founder.close().await;
            rooms.push(Room { conversation: group.conversation, members: members.to_vec(), is_direct: false });
        }
        Ok(Cast { owners, rooms })
    }

    /// Where a device takes part.
    pub fn rooms_of(&self, device: DeviceIndex) -> Vec<Room> {
        let owner = self.owner(device);
        self.rooms.iter().filter(|room| room.members.contains(&owner)).cloned().collect()
    }

    /// Whose it is.
    pub fn owner(&self, device: DeviceIndex) -> UserId {
        *self.owners.get(device.0).expect("a device of this cast")
    }

    /// All devices.
    pub fn devices(&self) -> impl Iterator<Item = DeviceIndex> + use<> {
        (0..self.owners.len()).map(DeviceIndex)
    }
}
