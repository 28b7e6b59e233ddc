//! One device under load: it sends at its pace as far as its window lets it, reads all it is told, and writes both in the
//! ledger.
//!
//! It lives on a runtime of its own, so that it can be killed as a process is: at whatever it waits for, without a word
//! to the server, with nothing left but its state folder.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, Draft, Event, Events, Identity, State, StateDir, Told};
use protocol::event::Message;
use protocol::ids::{ClientMsgId, UserId};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::cast::Room;
use crate::dice::Dice;
use crate::fact::{Content, DeviceIndex, Fact, News};
use crate::ledger::Ledger;
use crate::site::Site;

/// Now and then a message is of this size, the largest there is.
const LARGE_BODY_BYTES: u64 = 48 * 1024;
const ONE_LARGE_IN: u64 = 2_000;
const SMALL_BODY_BYTES_MIN: u64 = 40;
const SMALL_BODY_BYTES_MAX: u64 = 400;

/// What makes a device, each time anew.
#[derive(Clone)]
pub struct Plan {
    /// Its place in the cast.
    pub index: DeviceIndex,
    /// Whose it is.
    pub user: UserId,
    /// Where it takes part.
    pub rooms: Vec<Room>,
    /// What it keeps from life to life.
    pub state_dir: PathBuf,
    /// How fast it sends.
    pub pace: Pace,
    /// Where to connect.
    pub site: Site,
    /// What it was told.
    pub ledger: Arc<Ledger>,
    /// Whether it shall send.
    pub is_sending: watch::Receiver<bool>,
}

/// How fast a device sends. What it could not send in time it makes up for, a window at once.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two messages.
    pub interval: Duration,
    /// Messages that it has in its outbox at a time.
    pub window: u32,
}

/// How a device is, for others to see.
#[derive(Debug, Default)]
pub struct Standing {
    /// It has heard everything that a new device is told first.
    pub is_registered: AtomicBool,
    /// The server serves it.
    pub is_online: AtomicBool,
    /// Messages that are queued and not acked.
    pub outbox_len: AtomicUsize,
}

/// A device that runs.
pub struct Device {
    plan: Plan,
    standing: Arc<Standing>,
    kill: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Device {
    /// Starts it, with what its last life left. `seed` is for the sizes of its messages.
    pub fn start(plan: Plan, standing: Arc<Standing>, seed: u64) -> Device {
        let (kill, killed) = oneshot::channel();
        let (for_thread, standing_of_thread) = (plan.clone(), Arc::clone(&standing));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let life = Life::new(for_thread, standing_of_thread, seed);
            runtime.block_on(async {
                tokio::select! {
                    ended = life.live() => ended,
                    _ = killed => Ok(()),
                }
            })
        });
        Device { plan, standing, kill, thread }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(self) -> Result<(Plan, Arc<Standing>)> {
        // It may have ended by itself, and says why.
        let _ = self.kill.send(());
        self.thread.join().map_err(|_| anyhow::anyhow!("a device has panicked"))??;
        Ok((self.plan, self.standing))
    }

    /// How it is.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

struct Life {
    plan: Plan,
    standing: Arc<Standing>,
    outbox: BTreeSet<ClientMsgId>,
    next_send: Instant,
    dice: Dice,
}

impl Life {
    fn new(plan: Plan, standing: Arc<Standing>, seed: u64) -> Life {
        Life { plan, standing, outbox: BTreeSet::new(), next_send: Instant::now(), dice: Dice::new(seed) }
    }

    async fn live(mut self) -> Result<()> {
        let state_dir = StateDir::open(&self.plan.state_dir).context("cannot open a state folder")?;
        let identity = Identity::Device { state_dir, name: format!("load {}", self.plan.index.0) };
        self.standing.is_online.store(false, Ordering::Relaxed);
        self.note(News::Opened);
        let (client, mut events) = Client::connect(self.plan.site.config(self.plan.user, identity))?;
        loop {
            let is_sending = *self.plan.is_sending.borrow_and_update();
            let may_send = is_sending && self.outbox.len() < self.plan.pace.window as usize;
            tokio::select! {
                biased;
                told = events.next() => match told {
                    Some(told) => self.hear(&client, told).await?,
                    None => return self.linger(events).await,
                },
                () = sleep_until(self.next_send), if may_send => self.send(&client).await?,
                changed = self.plan.is_sending.changed() => changed.context("the load has gone")?,
            }
            self.standing.outbox_len.store(self.outbox.len(), Ordering::Relaxed);
        }
    }

    /// The client is over, which is in the ledger; the harness still holds the handle.
    async fn linger(&self, _events: Events) -> Result<()> {
        std::future::pending().await
    }

    async fn send(&mut self, client: &Client) -> Result<()> {
        let Pace { interval, window } = self.plan.pace;
        self.next_send = (self.next_send + interval).max(Instant::now() - interval * window);
        let room = &self.plan.rooms[self.dice.below(self.plan.rooms.len() as u64) as usize];
        let size = match self.dice.below(ONE_LARGE_IN) {
            0 => LARGE_BODY_BYTES,
            _ => SMALL_BODY_BYTES_MIN + self.dice.below(SMALL_BODY_BYTES_MAX - SMALL_BODY_BYTES_MIN),
        };
        let unique = format!("{} {} ", self.plan.index.0, self.dice.below(u64::MAX));
        let text: String = unique.chars().cycle().take(size as usize).collect();
        let draft = Draft::text(room.conversation, room.direct_peer(self.plan.user), &text);
        let id = client.send(draft).await.context("a message was not taken")?;
        self.outbox.insert(id);
        Ok(())
    }

    async fn hear(&mut self, client: &Client, told: Told) -> Result<()> {
        if let Event::State(state) = &told.event {
            self.standing.is_online.store(matches!(state, State::Online(_)), Ordering::Relaxed);
        }
        match told.event {
            Event::State(State::Online(me)) => self.note(News::Online(me.device)),
            Event::State(State::Closed(trouble)) => {
                let text = trouble.map_or_else(|| "closed".to_owned(), |trouble| trouble.to_string());
                self.note(News::Mishap("P8", format!("the device was closed for good: {text}")));
            }
            Event::Queued { client_msg_id, draft, replaces } => {
                self.outbox.retain(|id| Some(*id) != replaces);
                self.outbox.insert(client_msg_id);
                let content = Content { client_msg_id, checksum: crc32c::crc32c(&draft.body) };
                self.note(News::Queued(draft.conversation, content));
            }
            Event::Acked(acked) => {
                self.outbox.remove(&acked.client_msg_id);
                self.note(News::Acked(acked.conversation, acked.seq, acked.client_msg_id));
            }
            Event::Failed { client_msg_id, reason } => {
                self.outbox.remove(&client_msg_id);
                self.note(News::Mishap("P8", format!("{client_msg_id} was refused for good: {}", reason.text)));
            }
            Event::Message(message) | Event::OwnMessage(message) => {
                self.note_told(&message);
                client.mark_read(message.conversation, message.seq).await.context("a read mark was not taken")?;
            }
            Event::Delivered(receipt) => self.note(News::Delivered(receipt.conversation, receipt.up_to, receipt.by)),
            Event::Read(receipt) => self.note(News::Read(receipt.conversation, receipt.up_to, receipt.by)),
            Event::Snapshot(_) if !self.standing.is_registered.load(Ordering::Relaxed) => {
                self.standing.is_registered.store(true, Ordering::Relaxed);
            }
            Event::Snapshot(_) => {
                self.note(News::Mishap("P5", "a cursor of less than 30 days was refused".to_owned()));
            }
            Event::State(_) | Event::Typing { .. } | Event::MemberChanged(_) => {}
            Event::ReadByMe { .. } | Event::Erased(_) | Event::Published(_) => {}
        }
        client.applied(told.ticket);
        Ok(())
    }

    fn note_told(&self, message: &Message) {
        let content = Content { client_msg_id: message.client_msg_id, checksum: crc32c::crc32c(&message.body) };
        self.note(News::Told(message.conversation, message.seq, content));
    }

    fn note(&self, news: News) {
        self.plan.ledger.note(&Fact { device: self.plan.index, news });
    }
}
