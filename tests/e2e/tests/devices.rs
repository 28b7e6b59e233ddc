//! Two devices of one user by the SDK: what is read on one is read on both, and each comes back with its ticket.

use std::path::Path;
use std::time::Duration;

use client::{Client, ConversationSummary, Draft, Event, Events, Identity, MemberDraft, State, StateDir};
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use protocol::event::MemberChanged;
use protocol::ids::{ConversationId, Ordinal, Seq, UserId};
use protocol::wire::{MembershipAction, Role};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A device that applies what it is told at once, and remembers it.
struct Device {
    client: Client,
    events: Events,
    entries: Vec<(Seq, Ordinal)>,
    read: Seq,
    snapshot: Vec<ConversationSummary>,
    is_online: bool,
}

impl Device {
    fn connect(site: &Site, user: UserId, state_dir: &Path) -> Device {
        let state_dir = StateDir::open(state_dir).expect("a folder of its own");
        let (client, events) =
            Client::connect(site.config(user, Identity::Device { state_dir, name: "device".to_owned() })).expect("TLS");
        Device { client, events, entries: Vec::new(), read: Seq(0), snapshot: Vec::new(), is_online: false }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&Device) -> bool) {
        while !is_so(self) {
            let told = timeout(PATIENCE, self.events.next()).await;
            let told = told.unwrap_or_else(|_| panic!("{what} never comes")).expect("it is not closed");
            match told.event {
                Event::Message(message) => self.entries.push((message.seq, message.ordinal)),
                Event::MemberChanged(MemberChanged { seq, ordinal, .. }) => self.entries.push((seq, ordinal)),
                Event::ReadByMe { up_to, .. } => self.read = self.read.max(up_to),
                Event::Snapshot(snapshot) => self.snapshot = snapshot.conversations,
                Event::State(state) => self.is_online = matches!(state, State::Online(_)),
                _ => {}
            }
            self.client.applied(told.ticket);
        }
    }

    async fn has(&mut self, seq: u64) {
        let what = format!("entry {seq}");
        self.until(&what, |device| device.entries.iter().any(|(has, _)| *has == Seq(seq))).await;
    }

    async fn has_read(&mut self, seq: u64) {
        self.until("the read mark", |device| device.read >= Seq(seq)).await;
    }

    /// As a device counts that has followed the stream.
    fn unread(&self) -> u64 {
        let ordinal_at =
            |seq: Seq| self.entries.iter().filter(|(at, _)| *at <= seq).map(|(_, ordinal)| ordinal.0).max();
        ordinal_at(Seq(u64::MAX)).unwrap_or(0) - ordinal_at(self.read).unwrap_or(0)
    }
}

/// A server with alice, bob and carol.
fn start(name: &str) -> (Scratch, Plan, Server, Site) {
    let scratch = Scratch::on_disk(name).expect("a folder");
    let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port").users(&["carol"]);
    let server = plan.start().expect("a server");
    let site = Site::of(&plan).expect("it has started");
    (scratch, plan, server, site)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread")
}

async fn say(client: &Client, conversation: ConversationId, text: &str) {
    client.send(Draft::text(conversation, None, text)).await.expect("there is room");
    timeout(PATIENCE, client.outbox_empty()).await.expect("it is acked");
}

/// What a device that has just come finds in its snapshot.
async fn unread_of_a_newcomer(site: &Site, user: UserId, state_dir: &Path, conversation: ConversationId) -> (Seq, u64) {
    let mut newcomer = Device::connect(site, user, state_dir);
    newcomer.until("a snapshot", |device| !device.snapshot.is_empty()).await;
    let summary = newcomer.snapshot.iter().find(|summary| summary.conversation == conversation).expect("it is in it");
    let found = (summary.read, summary.head_ordinal.0 - summary.read_ordinal.0);
    newcomer.client.close().await;
    found
}

#[test]
fn what_is_read_on_one_device_is_read_on_the_other_and_both_count_the_same_as_unread() {
    let (scratch, plan, server, site) = start("read-sync");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| site.user(name).expect("it is there"));
    let [pocket, desk, third, fourth] = ["pocket", "desk", "third", "fourth"].map(|name| scratch.path().join(name));
    let group = runtime().block_on(async {
        let mut pocket = Device::connect(&site, alice, &pocket);
        let mut away = Device::connect(&site, alice, &desk);
        // What happens before a device is registered is in its snapshot.
        for device in [&mut pocket, &mut away] {
            device.until("a session", |device| device.is_online).await;
        }
        let (sender, mut acks) = site.transient(bob).expect("TLS");
        let answering = sender.clone();
        tokio::spawn(async move {
            while let Some(told) = acks.next().await {
                answering.applied(told.ticket);
            }
        });
        let group = sender.create_group("hikers", &[alice, carol]).await.expect("it is made").conversation;
        pocket.has(1).await;
        away.has(1).await;
        away.client.close().await;
        for text in ["one", "two"] {
            say(&sender, group, text).await;
        }
        // A change of members has a place, and does not count: what is behind it cannot be counted by places.
        let removal = MemberDraft {
            conversation: group,
            action: MembershipAction::Removed,
            users: vec![carol],
            role: Role::None,
        };
        sender.change_members(removal).await.expect("bob may");
        for text in ["three", "four"] {
            say(&sender, group, text).await;
        }
        pocket.has(6).await;
        pocket.client.mark_read(group, Seq(3)).await.expect("taken");
        pocket.has_read(3).await;

        let mut desk = Device::connect(&site, alice, &desk);
        desk.has(6).await;
        desk.has_read(3).await;
        // It was told of the first entry in its former life.
        desk.entries.push((Seq(1), Ordinal(0)));
        assert_eq!((pocket.unread(), desk.unread()), (2, 2));
        assert_eq!(unread_of_a_newcomer(&site, alice, &third, group).await, (Seq(3), 2));
        pocket.client.close().await;
        desk.client.close().await;
        sender.close().await;
        group
    });
    server.kill().expect("it can be killed");
    let _server = plan.start().expect("it starts again");
    let found = runtime().block_on(unread_of_a_newcomer(&site, alice, &fourth, group));
    assert_eq!(found, (Seq(3), 2), "after a kill -9 too");
}

#[test]
fn a_device_comes_back_with_its_ticket_after_a_kill_of_the_server() {
    let (scratch, plan, server, site) = start("ticket");
    let alice = site.user("alice").expect("she is there");
    let accepted = |server: &Server| {
        let count = |name: &str| server.metric(name).expect("a metric");
        (count("ringpost_shard_tokens_accepted_total"), count("ringpost_shard_tickets_accepted_total"))
    };
    runtime().block_on(async {
        let state_dir = scratch.path().join("pocket");
        let mut device = Device::connect(&site, alice, &state_dir);
        device.until("a session", |device| device.is_online).await;
        server.kill().expect("it can be killed");
        device.until("the loss of it", |device| !device.is_online).await;
        let server = plan.start().expect("it starts again");
        device.until("a session", |device| device.is_online).await;
        e2e::poll::until(PATIENCE, || (accepted(&server) == (0, 1)).then_some(())).expect("a ticket, and no token");
        // Its process dies, too; the ticket is on its disk.
        device.client.close().await;
        let mut device = Device::connect(&site, alice, &state_dir);
        device.until("a session", |device| device.is_online).await;
        e2e::poll::until(PATIENCE, || (accepted(&server) == (0, 2)).then_some(())).expect("a ticket, and no token");
        device.client.close().await;
    });
}
