//! The router's thread: collect what happened, read the clock, tell the state machines, do what they want.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use protocol::figures::Times;
use protocol::ids::Realm;
use protocol::link::Batch;
use protocol::time::{Instant, Now};
use protocol_shell::{LinkTransport, clock};
use router_core::{Action, DropCause, LinkId, Order, OrderId, OrderOutcome, Router, RouterConfig};
use storage_api::{Request, Response, StoreError, StoreToken, UserRow};
use storage_embedded::StoreEvent;
use tokio::sync::{mpsc, oneshot};

use crate::bell::Bell;
use crate::embedded::{EmbeddedExecutor, StoreConfig};
use crate::link_port::LinkPort;
use crate::published::Published;
use crate::server::Ended;
use crate::wiretap;

/// Turns begin at least so far apart, so what comes meanwhile shares a batch each way and a sync: under load a message
/// costs a third less for a wait that is shorter than a turn. Whoever comes after a pause waits for nothing.
const TURN_INTERVAL_MIN: Duration = Duration::from_micros(500);

/// The rest waits for the next turn.
const COMMANDS_PER_TURN_MAX: usize = 256;

/// Requests of the shell itself have names with this bit; `router/core` counts its own from 1.
const SHELL_TOKEN: u64 = 1 << 63;

pub(crate) type UserReply = oneshot::Sender<Result<Option<UserRow>, StoreError>>;

/// What the thread is told by its handle.
pub(crate) enum Command {
    /// A gateway shard has connected.
    Link(LinkTransport),
    /// These limits hold from now on.
    Limits(Box<RouterConfig>, StoreConfig),
    /// The user with this handle is wanted.
    EnsureUser { realm: Realm, handle: String, reply: UserReply },
    /// Likewise, but it is not made.
    FindUser { realm: Realm, handle: String, reply: UserReply },
    /// An operator orders something.
    Order { order: Order, reply: oneshot::Sender<OrderOutcome> },
}

pub(crate) struct RouterLoop {
    router: Router,
    store: EmbeddedExecutor,
    links: BTreeMap<LinkId, LinkPort>,
    links_named: u64,
    commands: mpsc::Receiver<Command>,
    bell: Bell,
    published: Arc<Published>,
    replies: HashMap<StoreToken, UserReply>,
    requests_of_shell: u64,
    orders: HashMap<OrderId, oneshot::Sender<OrderOutcome>>,
    turn_began: Instant,
    turn_times: Times,
    failure: Option<Ended>,
}

impl RouterLoop {
    pub(crate) fn new(
        config: RouterConfig,
        mut store: EmbeddedExecutor,
        commands: mpsc::Receiver<Command>,
        bell: Bell,
        published: Arc<Published>,
    ) -> RouterLoop {
        let traits = store.store().traits();
        published.set_read_only(store.store().is_read_only());
        RouterLoop {
            router: Router::new(config, traits),
            store,
            links: BTreeMap::new(),
            links_named: 0,
            commands,
            bell,
            published,
            replies: HashMap::new(),
            requests_of_shell: 0,
            orders: HashMap::new(),
            turn_began: Instant::default(),
            turn_times: Times::default(),
            failure: None,
        }
    }

    pub(crate) async fn run(mut self) -> Ended {
        let now = clock::now();
        self.router.handle_start(now);
        let mut is_stopping = false;
        self.act(now);
        loop {
            let due = self.poll_timeout();
            tokio::select! {
                command = self.commands.recv(), if !is_stopping => match command {
                    Some(command) => self.commands(command),
                    // All handles are gone: the end is wanted.
                    None => {
                        is_stopping = true;
                        self.store.store().seal();
                    }
                },
                () = self.bell.heard() => {}
                () = until(due) => {}
            }
            self.wait_for_company();
            self.turn();
            if let Some(failure) = self.failure {
                return failure;
            }
            if is_stopping && self.store.store().is_settled() {
                return Ended::Stopped;
            }
        }
    }

    /// Those that came together share a turn.
    fn commands(&mut self, first: Command) {
        self.command(first);
        for _ in 1..COMMANDS_PER_TURN_MAX {
            // When all handles are gone the next turn sees it.
            let Ok(command) = self.commands.try_recv() else { return };
            self.command(command);
        }
    }

    /// The thread has nothing else to do, so it may sleep: a ring meanwhile costs no system call.
    fn wait_for_company(&mut self) {
        thread::sleep((self.turn_began + TURN_INTERVAL_MIN).since(clock::now().monotonic));
        self.turn_began = clock::now().monotonic;
    }

    /// When something is due next.
    fn poll_timeout(&mut self) -> Option<Instant> {
        let of_store =
            self.store.store().poll_timeout().map(|due| Instant(u64::try_from(due.0.as_nanos()).unwrap_or(u64::MAX)));
        [self.router.poll_timeout(), of_store].into_iter().flatten().min()
    }

    fn turn(&mut self) {
        let began = std::time::Instant::now();
        let completions = self.store.reap();
        let received = self.receive();
        // After everything was collected: what a pause in between has aged must not look fresh.
        let now = clock::now();
        self.store.handle(now, completions);
        for (link, batches) in received {
            match batches {
                Some(batches) => self.handle_batches(now, link, batches),
                None => self.drop_link(now, link),
            }
        }
        self.router.handle_timeout(now);
        self.act(now);
        self.turn_times.observe(began.elapsed());
    }

    /// Batches by link; `None`: that link has ended.
    fn receive(&mut self) -> Vec<(LinkId, Option<Vec<Batch>>)> {
        let waker = self.bell.waker();
        self.links.iter_mut().map(|(id, port)| (*id, port.receive(&waker).ok())).collect()
    }

    fn handle_batches(&mut self, now: Now, link: LinkId, batches: Vec<Batch>) {
        for batch in batches {
            if let Err(error) = self.router.handle_link_batch(now, link, &batch) {
                tracing::error!(link = link.0, %error, "a gateway broke the rules of the link, which is given up");
                return self.drop_link(now, link);
            }
            if let Some(port) = self.links.get_mut(&link) {
                port.give_back(batch);
            }
        }
    }

    fn drop_link(&mut self, now: Now, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.router.handle_link_down(now, link);
            tracing::info!(link = link.0, "the link to a gateway has ended");
        }
    }

    /// Does everything that is wanted, until nothing more is.
    fn act(&mut self, now: Now) {
        while self.act_on_router(now) | self.act_on_store(now) {}
        self.store.depart();
        let waker = self.bell.waker();
        let mut closed = Vec::new();
        for (&link, port) in &mut self.links {
            if port.send(&waker).is_err() {
                closed.push(link);
            }
            if let Some(batch) = port.take_spent() {
                self.router.take_back(link, batch);
            }
        }
        for link in closed {
            self.drop_link(now, link);
        }
        self.publish(now);
    }

    fn publish(&mut self, now: Now) {
        self.published.trace().absorb(now.monotonic, self.router.notes());
        let (trace_steps, trace_lost) = self.router.notes().counts();
        let (router, store, turn_times) = (&self.router, &mut self.store, &self.turn_times);
        self.published.update(|figures| {
            figures.counters.clone_from(router.counters());
            figures.gauges = router.gauges();
            figures.thread.turn_seconds.clone_from(turn_times);
            (figures.thread.trace_steps, figures.thread.trace_lost) = (trace_steps, trace_lost);
            store.report(figures);
        });
    }

    fn act_on_router(&mut self, now: Now) -> bool {
        let mut has_acted = false;
        while let Some(action) = self.router.poll_action() {
            has_acted = true;
            match action {
                Action::SendBatch { link, batch } => {
                    if let Some(port) = self.links.get_mut(&link) {
                        port.queue(batch);
                    }
                }
                Action::Store { token, request } => {
                    wiretap::request(token, &request);
                    self.store.request(now, token, request);
                }
                Action::OrderEnded(id, outcome) => {
                    // Whoever ordered it may have given up.
                    let _ = self.orders.remove(&id).map(|reply| reply.send(outcome));
                }
                Action::DropLink { link, cause } => {
                    let why = match cause {
                        DropCause::Backlog => "a gateway does not take its answers; its link is given up",
                        DropCause::Silence => "a gateway was not heard of for 3 s; its link is given up",
                    };
                    tracing::warn!(link = link.0, "{why}");
                    self.drop_link(now, link);
                }
            }
        }
        has_acted
    }

    fn act_on_store(&mut self, now: Now) -> bool {
        let mut has_acted = false;
        while let Some(event) = self.store.poll_event() {
            has_acted = true;
            match event {
                StoreEvent::Answer { token, result } if token.0 & SHELL_TOKEN != 0 => self.reply(token, result),
                StoreEvent::Answer { token, result } => {
                    wiretap::answer(token, &result);
                    self.router.handle_store(now, token, result);
                }
                StoreEvent::Pressure { is_pressed, text } => self.pressure(now, is_pressed, &text),
                StoreEvent::Ballast { is_there: true } => tracing::info!("the ballast is there"),
                StoreEvent::Ballast { is_there: false } => {
                    tracing::warn!("the disk is full: the ballast is let go of, for what was accepted; make room soon");
                }
                StoreEvent::SideFileFailed { text } => tracing::warn!("{text}"),
                StoreEvent::Damaged { text } => tracing::error!("{text}"),
                StoreEvent::Failed { error, is_marked } => {
                    self.failure = Some(Ended::StoreFailed { error: error.to_string(), is_marked });
                }
            }
        }
        has_acted
    }

    fn pressure(&mut self, now: Now, is_pressed: bool, text: &str) {
        if is_pressed {
            tracing::warn!("{text}: new messages are refused until that is over");
        } else {
            tracing::info!("{text}");
        }
        self.published.set_pressed(is_pressed);
        self.router.handle_pressure(now, is_pressed);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Link(transport) => self.take_link(transport),
            Command::Limits(router, store) => {
                self.router.handle_limits(*router);
                self.store.set_limits(&store);
            }
            Command::EnsureUser { realm, handle, reply } => {
                self.ask_for_user(Request::EnsureUser { realm, handle }, reply);
            }
            Command::FindUser { realm, handle, reply } => {
                self.ask_for_user(Request::LookupUsers { realm, handles: vec![handle], ids: Vec::new() }, reply);
            }
            Command::Order { order, reply } => {
                self.requests_of_shell += 1;
                let id = OrderId(self.requests_of_shell);
                self.orders.insert(id, reply);
                self.router.handle_order(clock::now(), id, order);
            }
        }
    }

    /// What it holds already is received in the turn that follows.
    fn take_link(&mut self, transport: LinkTransport) {
        self.links_named += 1;
        let link = LinkId(self.links_named);
        self.links.insert(link, LinkPort::new(transport));
        self.router.handle_link_up(clock::now(), link);
        tracing::info!(link = link.0, "a gateway has a link");
    }

    fn ask_for_user(&mut self, request: Request, reply: UserReply) {
        self.requests_of_shell += 1;
        let token = StoreToken(SHELL_TOKEN | self.requests_of_shell);
        self.replies.insert(token, reply);
        self.store.request(clock::now(), token, request);
    }

    fn reply(&mut self, token: StoreToken, result: Result<Response, StoreError>) {
        let Some(reply) = self.replies.remove(&token) else { return };
        let user = result.map(|response| match response {
            Response::Users(users) => users.into_iter().next(),
            other => panic!("the store answered a wish for a user with {other:?}"),
        });
        // Whoever asked may have given up.
        let _ = reply.send(user);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(clock::now().monotonic)).await,
        None => std::future::pending().await,
    }
}
