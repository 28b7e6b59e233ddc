//! Whom the people of a worker speak to.

use std::rc::Rc;

use anyhow::{Result, ensure};
use bench_harness::{Account, BaselinePeer, ChannelSlot, Following, ProductPeer, Room};
use protocol::ids::UserId;

use crate::order::{Setup, Share, SubjectSetup};
use crate::worker::{self, Orders, Orphans};

/// Runs a worker of this setup.
pub(crate) async fn run(setup: Setup, orders: Orders, orphans: Orphans) -> Result<()> {
    let Share { rooms, first_number, .. } = setup.share;
    let (size, first_room) = (rooms.size, first_number / rooms.size);
    match setup.subject.clone() {
        SubjectSetup::Baseline => {
            let peer = |index| BaselinePeer::new(first_room + index / 2, index % 2);
            worker::run(setup, orders, orphans, peer).await
        }
        SubjectSetup::Product { gateway_dir, router_dir, users, resume, channels } => {
            ensure!(users.len() == rooms.people(), "everybody is a user");
            let account = Rc::new(Account::read(&gateway_dir, &router_dir, resume)?);
            let slots: Vec<ChannelSlot> = (0..rooms.count).map(|_| ChannelSlot::default()).collect();
            let user = |index: usize| UserId(*users.get(index).expect("everybody is a user"));
            let room = |index: usize| match size {
                2 => Room::Direct(user(index ^ 1)),
                _ if channels => channel_room(&slots, index, size),
                _ if index.is_multiple_of(size) => Room::Founder((index + 1..index + size).map(user).collect()),
                _ => Room::Listener,
            };
            let peer = |index| ProductPeer::new(account.clone(), user(index), room(index));
            worker::run(setup, orders, orphans, peer).await
        }
    }
}

/// The first of a room makes the channel that the others follow.
fn channel_room(slots: &[ChannelSlot], index: usize, size: usize) -> Room {
    let slot = slots.get(index / size).expect("everybody has a room").clone();
    if index.is_multiple_of(size) { Room::Publisher(slot) } else { Room::Follower(Box::new(Following::new(slot))) }
}
