//! Who takes part, and what people do and what goes wrong when: all of it drawn from the seed before anything happens.

use std::time::Duration;

use protocol::ids::UserId;
use protocol::time::Instant;

use crate::agenda::Agenda;
use crate::fault::Fault;
use crate::prng::Prng;
use crate::store::Shape;

/// Gateways with one shard each; a user's home is one of them.
pub const GATEWAYS_COUNT: usize = 2;
/// The users with devices, and one who is in no conversation.
pub const HANDLES: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];
/// So many more are in the group of some seeds. They have no devices, and a log all the same.
pub const CROWD_COUNT: usize = 60;
/// By device: whose it is, as an index into [`HANDLES`].
pub const DEVICES: [usize; 6] = [0, 0, 1, 1, 2, 3];
/// By transient session: whose it is.
pub const TRANSIENTS: [usize; 6] = [0, 1, 2, 3, 4, 4];
/// Messages that people want to send.
pub const SENDS_COUNT: usize = 300;
/// Devices that are revoked, and linked anew after a while.
pub const REVOKES_COUNT: usize = 4;
/// Messages that an operator erases, where the store can.
pub const ERASURES_COUNT: usize = 6;
/// Faults of one seed.
pub const FAULTS_COUNT: usize = 8;

/// Until then everybody arrives and the group is made.
const BEGINNING: Duration = Duration::from_secs(4);
/// Then people do what they do and things go wrong, for so long.
const TROUBLE: Duration = Duration::from_secs(40);
/// Most of what happens, and most of what goes wrong, happens in bursts, or nothing would be under way when it does.
const BURSTS_COUNT: usize = 10;
/// How long a burst lasts.
const BURST: Duration = Duration::from_millis(80);
/// So many of a thousand things are part of a burst.
const IN_BURST_PER_MILLE: u64 = 750;
/// So many of a thousand seeds have a large group.
const CROWDED_PER_MILLE: u64 = 150;
/// So many of a thousand messages of Alice are for the channel.
const CHANNEL_PER_MILLE: u64 = 400;
/// So many of a thousand faults strike in the last burst.
const LAST_PER_MILLE: u64 = 250;

/// Where something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Between these two.
    Direct(UserId, UserId),
    /// The one group.
    Group,
    /// The one channel: Alice writes in it, and everybody follows it.
    Channel,
}

/// What a person does with an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Makes the group of these, and of oneself; and of the crowd, if its first one is named.
    CreateGroup([UserId; 2], Option<UserId>),
    /// Makes the channel.
    CreateChannel,
    /// Sends a message of so many bytes.
    Say(Room, usize),
    /// Opens what has come.
    Read(Room),
    /// Begins or stops typing.
    Type(Room, bool),
    /// Scrolls through everything there is.
    ReadHistory(Room),
    /// Takes a user into the group.
    Add(UserId),
    /// Takes a user out of it.
    Remove(UserId),
    /// Leaves it.
    Leave,
    /// Has lost the device of this other client, and revokes it.
    Revoke(usize),
}

/// Something that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The person of this client does something.
    Order(usize, Order),
    /// An operator erases a message, whichever this draws.
    Erase(u64),
    /// Something goes wrong.
    Fault(Fault),
    /// Nothing goes wrong any more.
    Calm,
}

/// Draws everything that happens.
pub struct Script<'a> {
    prng: &'a mut Prng,
    users: &'a [UserId],
    bursts: Vec<Instant>,
    steps: Agenda<Step>,
}

impl<'a> Script<'a> {
    /// `users` are those of [`HANDLES`] and the crowd; the shape is that of the store.
    pub fn draw(prng: &'a mut Prng, users: &'a [UserId], shape: Shape) -> Agenda<Step> {
        let begin = Instant(0) + BEGINNING;
        // The last one is the end of everything: what goes wrong in it is not made good by what comes after.
        let last = begin + TROUBLE - BURST;
        let bursts = (1..BURSTS_COUNT).map(|_| begin + prng.between(Duration::ZERO, TROUBLE)).chain([last]).collect();
        let mut script = Script { prng, users, bursts, steps: Agenda::default() };
        let crowd = script.prng.chance(CROWDED_PER_MILLE).then_some(users[HANDLES.len()]);
        let order = Order::CreateGroup([users[1], users[2]], crowd);
        script.steps.note(Instant(0) + BEGINNING / 2, Step::Order(0, order));
        script.steps.note(Instant(0) + BEGINNING / 2, Step::Order(0, Order::CreateChannel));
        script.steps.note(begin + TROUBLE, Step::Calm);
        (0..SENDS_COUNT).for_each(|_| script.say());
        (0..120).for_each(|_| script.follow());
        (0..16).for_each(|_| script.change_members());
        (0..REVOKES_COUNT).for_each(|_| script.revoke());
        if shape == Shape::Embedded {
            (0..ERASURES_COUNT).for_each(|_| script.erase());
        }
        (0..FAULTS_COUNT).for_each(|_| script.go_wrong(shape));
        script.steps
    }

    fn note(&mut self, step: Step) {
        let at = if self.prng.chance(IN_BURST_PER_MILLE) {
            *self.prng.pick(&self.bursts) + self.prng.between(Duration::ZERO, BURST)
        } else {
            Instant(0) + BEGINNING + self.prng.between(Duration::ZERO, TROUBLE)
        };
        self.steps.note(at, step);
    }

    fn go_wrong(&mut self, shape: Shape) {
        let step = Step::Fault(Fault::draw(self.prng, shape));
        if self.prng.chance(LAST_PER_MILLE) {
            let last = *self.bursts.last().expect("there is a last burst");
            self.steps.note(last + self.prng.between(Duration::ZERO, BURST), step);
        } else {
            self.note(step);
        }
    }

    /// A client that is a device, or now and then a transient session.
    fn client(&mut self) -> usize {
        if self.prng.chance(100) {
            DEVICES.len() + self.prng.index(TRANSIENTS.len())
        } else {
            self.prng.index(DEVICES.len())
        }
    }

    fn room(&mut self, client: usize) -> Room {
        let user = user_of(client);
        if self.prng.chance(500) { Room::Group } else { Room::Direct(self.users[user], self.users[peer_of(user)]) }
    }

    fn say(&mut self) {
        let client = self.client();
        let is_public = user_of(client) == 0 && self.prng.chance(CHANNEL_PER_MILLE);
        let room = if is_public { Room::Channel } else { self.room(client) };
        let size = if self.prng.chance(20) { 30_000 } else { 1 + self.prng.index(200) };
        self.note(Step::Order(client, Order::Say(room, size)));
    }

    fn follow(&mut self) {
        let client = self.client();
        let room = self.room(client);
        let order = match self.prng.below(8) {
            0..4 => Order::Read(room),
            4..6 => Order::Type(room, self.prng.chance(500)),
            6 => Order::ReadHistory(room),
            _ => Order::ReadHistory(Room::Direct(self.users[0], self.users[1])),
        };
        self.note(Step::Order(client, order));
    }

    fn erase(&mut self) {
        let step = Step::Erase(self.prng.draw());
        self.note(step);
    }

    /// One of two devices revokes the other, or a browser does.
    fn revoke(&mut self) {
        let lost = self.prng.index(4);
        let browser = DEVICES.len() + DEVICES[lost];
        let by = if self.prng.chance(300) { browser } else { lost ^ 1 };
        self.note(Step::Order(by, Order::Revoke(lost)));
    }

    /// The maker of the group takes others in and out; others leave.
    fn change_members(&mut self) {
        let user = 1 + self.prng.index(3);
        let step = match self.prng.below(7) {
            0..4 => Step::Order(self.prng.index(2), Order::Add(self.users[user])),
            4 | 5 => Step::Order(self.prng.index(2), Order::Remove(self.users[user])),
            _ => Step::Order([2, 4, 5][user - 1], Order::Leave),
        };
        self.note(step);
    }
}

/// Whose a client is, as an index into [`HANDLES`].
pub fn user_of(client: usize) -> usize {
    DEVICES.iter().chain(&TRANSIENTS).copied().nth(client).expect("there are no more clients")
}

/// With whom a user talks in private: Alice with Bob, Carol with Dave. Eve would like to talk with Alice, and may.
pub fn peer_of(user: usize) -> usize {
    [1, 0, 3, 2, 0][user]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_seed_has_what_the_promises_need_to_be_tried() {
        let users: Vec<UserId> = (1..=(HANDLES.len() + CROWD_COUNT) as u64).map(UserId).collect();
        let homes: BTreeSet<usize> = DEVICES.iter().map(|user| user % GATEWAYS_COUNT).collect();
        let owners: BTreeSet<&usize> = DEVICES.iter().collect();
        assert_eq!((homes.len(), owners.len(), DEVICES.len()), (2, 4, 6));
        for seed in 0..100 {
            let shape = [Shape::SingleRows, Shape::OneLog, Shape::Embedded][seed as usize % 3];
            let script = Script::draw(&mut Prng::new(seed), &users, shape);
            let count = |is_it: fn(&&Step) -> bool| script.things().filter(is_it).count();
            assert_eq!(count(|step| matches!(step, Step::Order(_, Order::Say(..)))), SENDS_COUNT);
            assert!(count(|step| matches!(step, Step::Order(_, Order::Say(Room::Group, _)))) > 50);
            assert!(count(|step| matches!(step, Step::Order(_, Order::Say(Room::Direct(..), _)))) > 50);
            assert!(count(|step| matches!(step, Step::Order(_, Order::Say(Room::Channel, _)))) > 20);
            assert_eq!(count(|step| matches!(step, Step::Order(_, Order::CreateGroup(..)))), 1);
            assert!(count(|step| matches!(step, Step::Fault(_))) >= 5);
        }
    }
}
