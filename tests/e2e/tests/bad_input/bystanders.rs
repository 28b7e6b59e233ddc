//! Two people who chat while others misbehave.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::{Client, Draft, Event, Events, Identity, StateDir};
use e2e::poll;
use e2e::site::Site;
use protocol::ids::{ConversationId, UserId};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(10);
/// What takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Alice, who sends, and bob, who receives.
pub(crate) struct Bystanders {
    messages: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

impl Bystanders {
    pub(crate) fn start(site: &Site, states: &Path) -> Bystanders {
        let (site, states) = (site.clone(), states.to_owned());
        let messages = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let counter = Arc::clone(&messages);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(chat(&site, &states, &counter, stopped))
        });
        Bystanders { messages, stop, thread }
    }

    pub(crate) fn wait_for_messages(&self, count: usize) {
        let is_there = || (self.messages.load(Ordering::Relaxed) >= count || self.thread.is_finished()).then_some(());
        poll::until(PATIENCE, is_there).expect("they chat");
    }

    /// From a message's send to its arrival, sorted.
    pub(crate) fn stop(self) -> Result<Vec<Duration>> {
        // They may have ended by themselves, and say why.
        let _ = self.stop.send(());
        let mut latencies = self.thread.join().expect("no panic")?;
        latencies.sort();
        Ok(latencies)
    }
}

/// One message at a time.
async fn chat(
    site: &Site,
    states: &Path,
    messages: &AtomicUsize,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<Duration>> {
    let (alice, bob) = (site.user("alice")?, site.user("bob")?);
    let (sender, mut acks) = device(site, alice, &states.join("alice"))?;
    let (receiver, mut events) = device(site, bob, &states.join("bob"))?;
    let conversation = ConversationId::direct(alice, bob);
    // A message before the registration of a device would be in its snapshot.
    receiver.me().await.context("bob was closed")?;
    let mut latencies = Vec::new();
    while stopped.try_recv().is_err() {
        tokio::time::sleep(PAUSE).await;
        let text = format!("message {}", latencies.len());
        let began = Instant::now();
        sender.send(Draft::text(conversation, Some(bob), &text)).await?;
        let arrival = async { tokio::join!(hear_acks(&sender, &mut acks), hear(&receiver, &mut events, &text)) };
        let (acked, heard) = timeout(PATIENCE, arrival).await.with_context(|| format!("{text} is lost"))?;
        acked?;
        latencies.push(heard? - began);
        messages.fetch_add(1, Ordering::Relaxed);
    }
    Ok(latencies)
}

fn device(site: &Site, user: UserId, state_dir: &Path) -> Result<(Client, Events)> {
    let identity = Identity::Device { state_dir: StateDir::open(state_dir)?, name: "bystander".to_owned() };
    Ok(Client::connect(site.config(user, identity))?)
}

/// Until an ack.
async fn hear_acks(client: &Client, events: &mut Events) -> Result<()> {
    loop {
        let told = events.next().await.context("alice was closed")?;
        client.applied(told.ticket);
        if let Event::Acked(_) = told.event {
            return Ok(());
        }
    }
}

/// Until this message; gives the moment.
async fn hear(client: &Client, events: &mut Events, text: &str) -> Result<Instant> {
    loop {
        let told = events.next().await.context("bob was closed")?;
        client.applied(told.ticket);
        match told.event {
            Event::Message(message) if message.body == text.as_bytes() => return Ok(Instant::now()),
            _ => {}
        }
    }
}
