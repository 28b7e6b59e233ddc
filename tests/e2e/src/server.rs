//! `ringpost dev`, or a tier of `ringpost serve`, as a process of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cleanup::{Guard, Undo, made};
use crate::{binary, poll, port};

/// A start reads the whole log, on a machine that has other things to do.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// A drain may take 10 s.
const END_TIMEOUT: Duration = Duration::from_secs(20);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How to start a server, again and again on the same folder and port.
#[derive(Clone, Debug)]
pub struct Plan {
    data_dir: PathBuf,
    tier: Tier,
    log: PathBuf,
    native: SocketAddr,
    users: Vec<String>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What of the product a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// All of it: `dev`.
    Dev,
    /// All of it: `serve`.
    Both,
    /// Where clients connect.
    Gateway,
    /// Where gateways connect.
    Router,
}

/// A running server. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    admin: SocketAddr,
    guard: Option<Guard>,
}

/// How a start can go when it may also fail.
#[derive(Debug)]
pub enum Started {
    /// It serves.
    Serves(Server),
    /// It has ended instead.
    Ended {
        /// With this exit code.
        exit_code: Option<i32>,
        /// And these last words.
        standard_error: String,
    },
}

impl Plan {
    /// `work_dir` keeps its log, and is not where its data is.
    pub fn new(data_dir: &Path, work_dir: &Path) -> Result<Plan> {
        Ok(Plan {
            data_dir: data_dir.to_owned(),
            tier: Tier::Dev,
            log: work_dir.join("server.log"),
            native: port::free_address()?,
            users: Vec::new(),
            flags: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// Only this tier of it.
    pub fn tier(mut self, tier: Tier) -> Plan {
        self.tier = tier;
        self
    }

    /// With these users; `dev` has alice and bob anyway.
    pub fn users(mut self, names: &[&str]) -> Plan {
        self.users.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// With these words at the end of its command line.
    pub fn flags(mut self, flags: &[&str]) -> Plan {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// With this variable in its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Plan {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where native clients connect.
    pub fn native(&self) -> SocketAddr {
        self.native
    }

    /// What all its processes wrote to standard error.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(&self) -> Result<Server> {
        match self.try_start(true)? {
            Started::Serves(server) => Ok(server),
            Started::Ended { exit_code, standard_error } => Err(ended_early(exit_code, &standard_error)),
        }
    }

    /// Starts it and waits until it serves, ready or not.
    pub fn start_unready(&self) -> Result<Server> {
        match self.try_start(false)? {
            Started::Serves(server) => Ok(server),
            Started::Ended { exit_code, standard_error } => Err(ended_early(exit_code, &standard_error)),
        }
    }

    /// Starts it and waits until it serves, ready or not, or has ended.
    pub fn start_if_it_can(&self) -> Result<Started> {
        self.try_start(false)
    }

    fn try_start(&self, must_be_ready: bool) -> Result<Started> {
        let admin_file = self.data_dir.join("admin");
        if admin_file.exists() {
            // A full disk still lets go of a file.
            fs::remove_file(&admin_file).context("cannot remove the address of the last server")?;
        }
        let log_start = fs::metadata(&self.log).map(|metadata| metadata.len()).unwrap_or(0);
        let mut command = self.command()?;
        let spawned = made(|| command.spawn(), |child| Undo::Kill(pid_of(child)));
        let (mut child, guard) = spawned.context("cannot start the server")?;
        let state = poll::until(START_TIMEOUT, || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(status));
            }
            let admin: SocketAddr = fs::read_to_string(&admin_file).ok()?.trim().parse().ok()?;
            let (status, _) = probe(admin, "/readyz").ok()?;
            (status == 200 || !must_be_ready).then_some(Ok(admin))
        });
        match state {
            Some(Ok(admin)) => Ok(Started::Serves(Server { child, admin, guard: Some(guard) })),
            Some(Err(status)) => {
                guard.discharge();
                let log = self.log()?;
                let standard_error = log.get(log_start as usize..).unwrap_or_default().to_owned();
                Ok(Started::Ended { exit_code: status.code(), standard_error })
            }
            None => bail!("the server was not ready within {} s; its log:\n{}", START_TIMEOUT.as_secs(), self.log()?),
        }
    }

    fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(binary::ringpost()?);
        match self.tier {
            Tier::Dev => command.args(["dev", "--http", "127.0.0.1:0"]),
            Tier::Both => command.args(["serve", "--role", "all"]),
            Tier::Gateway => command.args(["serve", "--role", "gateway"]),
            Tier::Router => command.args(["serve", "--role", "router"]),
        };
        if self.tier != Tier::Router {
            command.args(["--listen", &self.native.to_string()]);
        }
        command.arg("--data-dir").arg(&self.data_dir).args(["--admin", "127.0.0.1:0"]);
        command.args(self.users.iter().flat_map(|user| ["--user", user]));
        command.args(&self.flags).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }
}

impl Server {
    /// kill -9, and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.wait().map(drop)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(pid_of(&self.child), signal).context("cannot send a signal to the server")
    }

    /// TERM, and how it ended.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let began = Instant::now();
        let ended = poll::until(END_TIMEOUT, || self.child.try_wait().transpose());
        match ended {
            Some(status) => status.context("cannot wait for the server"),
            None => bail!("the server has not ended after {:?}", began.elapsed()),
        }
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Where its admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Status and text of a page of its admin listener.
    pub fn admin(&self, path: &str) -> Result<(u16, String)> {
        probe(self.admin, path)
    }

    /// A metric without labels, or with the labels that are part of `name`.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let (_, text) = self.admin("/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        value.with_context(|| format!("there is no metric {name}"))
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> Result<usize> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).context("cannot read /proc")?;
        Ok(open.count())
    }

    /// Memory that it has in use, in KiB: VmRSS.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("cannot read /proc")?;
        let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        value.and_then(|value| value.trim().parse().ok()).context("/proc does not say VmRSS")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its process id may be somebody else's from now on.
        self.guard.take().into_iter().for_each(Guard::discharge);
    }
}

fn ended_early(exit_code: Option<i32>, standard_error: &str) -> anyhow::Error {
    anyhow!("the server ended with exit code {exit_code:?} instead of starting: {standard_error}")
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// One HTTP request.
fn probe(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT).context("cannot connect to admin")?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read from admin")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("admin did not answer in HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("admin gave no status")?;
    Ok((status, body.to_owned()))
}
