//! A running router: its thread from start to end.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use protocol::ids::Realm;
use protocol_shell::{LinkTransport, random};
use router_core::RouterConfig;
use storage_api::{StoreError, UserRow};
use storage_embedded::{OpenError, OpeningProgress};
use storage_log::FolderError;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::bell::Bell;
use crate::embedded::{EmbeddedExecutor, StoreConfig};
use crate::operator::Operator;
use crate::published::Published;
use crate::router_loop::{Command, RouterLoop};

/// Orders on their way to the thread; more of them wait at their callers.
const COMMANDS_MAX: usize = 64;

/// Lets gateways in, for as long as the router takes any. Cheap to clone; it does not keep the router from its end.
#[derive(Clone)]
pub struct LinkGate {
    commands: mpsc::WeakSender<Command>,
}

/// The router has ended, or has its hands full: the link is dropped, and its gateway comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLetIn;

impl LinkGate {
    /// Gives the router its end of a new link. Does not wait.
    pub fn let_in(&self, link: LinkTransport) -> Result<(), NotLetIn> {
        let commands = self.commands.upgrade().ok_or(NotLetIn)?;
        commands.try_send(Command::Link(link)).map_err(|_| NotLetIn)
    }
}

/// The router has ended, or has its hands full: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRenewed;

/// Handle of the router's thread.
pub struct RouterServer {
    commands: mpsc::Sender<Command>,
    published: Arc<Published>,
    thread: JoinHandle<Ended>,
}

/// Why a router does not start.
#[derive(Debug)]
pub enum StartError {
    /// The store's folder is in use or cannot be used.
    Folder(FolderError),
    /// The store cannot be opened.
    Open(OpenError),
    /// No thread is to be had.
    Resources(io::Error),
}

/// How a router's thread has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, and everything accepted is durable.
    Stopped,
    /// The disk has failed a write or a sync: exit with code 74.
    StoreFailed {
        /// What the disk said.
        error: String,
        /// The next start knows of it and reads only, until a check has passed.
        is_marked: bool,
    },
}

/// Why a user was not made or found, or an order not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserError {
    /// The store did not do it.
    Store(StoreError),
    /// The router has ended.
    Ended,
}

impl RouterServer {
    /// Opens the store, which reads all of its log and says how far it is, and starts the thread.
    ///
    /// `config.epoch` and `config.router_incarnation` are not used: the store names the epoch that comes next, and the
    /// incarnation is drawn.
    pub fn start(
        config: RouterConfig,
        store: &StoreConfig,
        on_progress: impl FnMut(OpeningProgress),
    ) -> Result<RouterServer, StartError> {
        let runtime = Builder::new_current_thread().enable_time().build().map_err(StartError::Resources)?;
        let bell = Bell::default();
        let mut executor = runtime.block_on(EmbeddedExecutor::open(store, &bell, on_progress))?;
        let config =
            RouterConfig { epoch: executor.store().next_epoch(), router_incarnation: random::number(), ..config };
        let published = Arc::new(Published::new(config.trace));
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let router_loop = RouterLoop::new(config, executor, received, bell, published.clone());
        let thread = thread::Builder::new()
            .name("router".to_owned())
            .spawn(move || run(&runtime, router_loop))
            .map_err(StartError::Resources)?;
        Ok(RouterServer { commands, published, thread })
    }

    /// Other limits and intervals from its next turn on. Of `store` its folder and the size of its segments are for good,
    /// and not looked at. Does not wait.
    pub fn renew(&self, config: RouterConfig, store: StoreConfig) -> Result<(), NotRenewed> {
        self.commands.try_send(Command::Limits(Box::new(config), store)).map_err(|_| NotRenewed)
    }

    /// Where gateways come in.
    pub fn gate(&self) -> LinkGate {
        LinkGate { commands: self.commands.downgrade() }
    }

    /// Where an operator gives orders.
    pub fn operator(&self) -> Operator {
        Operator::new(self.commands.downgrade())
    }

    /// The user with this handle, made if need be.
    pub fn ensure_user(&self, realm: Realm, handle: &str) -> Result<UserRow, UserError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::EnsureUser { realm, handle: handle.to_owned(), reply };
        self.commands.blocking_send(command).map_err(|_| UserError::Ended)?;
        let made = answer.blocking_recv().map_err(|_| UserError::Ended)?.map_err(UserError::Store)?;
        Ok(made.expect("a user that was ensured is there"))
    }

    /// What it lets others see, also after it has ended.
    pub fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// Whether the thread has ended by itself. [`Self::stop`] then says why.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread when everything accepted is durable. Drain the gateways first.
    pub fn stop(self) -> Ended {
        drop(self.commands);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn run(runtime: &Runtime, router_loop: RouterLoop) -> Ended {
    runtime.block_on(router_loop.run())
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Folder(error) => error.fmt(f),
            StartError::Open(error) => error.fmt(f),
            StartError::Resources(error) => {
                write!(f, "cannot start the thread of the router: {error}; see `ulimit -u`")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserError::Store(error) => error.fmt(f),
            UserError::Ended => f.write_str("the router has ended"),
        }
    }
}

impl std::error::Error for UserError {}
