//! The servers that are measured, as processes of their own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gateway_server::TokenSigner;
use gateway_transport::TlsClient;
use protocol::ids::UserId;

use crate::product_peer::Account;
use crate::resume::Resume;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// What tells a server where to listen, for clients and for gateways.
const LISTEN_VARIABLE: &str = "RINGPOST_GATEWAY_LISTEN";
const LINK_VARIABLE: &str = "RINGPOST_LINK_LISTEN";
/// Users that are made with one request.
const USERS_AT_ONCE: usize = 5_000;

/// How the product is cut into processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiers {
    /// Gateway and router in one.
    Whole,
    /// One each, with a link between them.
    Split,
}

/// The product; what was started here is killed when it is dropped.
pub struct Product {
    started: Vec<Started>,
    process_ids: Vec<u32>,
    gateway_dir: PathBuf,
    router_dir: PathBuf,
    address: SocketAddr,
}

impl Product {
    /// On an empty folder, with what else it is to be set to, by the names of variables.
    pub fn start(binary: &Path, data_dir: &Path, tiers: Tiers, settings: &[(&str, String)]) -> Result<Product> {
        let serve = |role: &str, folder: &Path| {
            let mut command = Command::new(binary);
            command.args(["serve", "--role", role, "--admin", "127.0.0.1:0", "--data-dir"]).arg(folder);
            command.env("RINGPOST_LOG", "warn").envs(settings.iter().map(|(name, value)| (name, value)));
            command
        };
        if tiers == Tiers::Whole {
            let started = Started::start(serve("all", data_dir), LISTEN_VARIABLE, "server", data_dir)?;
            return Product::of(vec![started], data_dir.to_owned(), data_dir.to_owned());
        }
        let (router_dir, gateway_dir) = (data_dir.join("router"), data_dir.join("gateway"));
        fs::create_dir_all(data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let key = data_dir.join("link.key");
        let made = Command::new(binary).args(["link-key", "--out"]).arg(&key).stderr(Stdio::null()).status()?;
        ensure!(made.success(), "no link key could be made");
        let mut command = serve("router", &router_dir);
        command.arg("--link-key-file").arg(&key);
        let router = Started::start(command, LINK_VARIABLE, "link", &router_dir)?;
        let link = address(&router_dir, "link").context("the router does not say where it is")?.to_string();
        let mut command = serve("gateway", &gateway_dir);
        command.args(["--router", &link, "--link-key-file"]).arg(&key);
        command.arg("--token-key-file").arg(router_dir.join("token.pub"));
        let gateway = Started::start(command, LISTEN_VARIABLE, "server", &gateway_dir)?;
        // Ended in this order, so that no gateway misses its router.
        Product::of(vec![gateway, router], gateway_dir, router_dir)
    }

    /// One that runs, on this data folder; its cost is known where its process is.
    pub fn running(data_dir: &Path, process_id: Option<u32>) -> Result<Product> {
        let mut product = Product::of(Vec::new(), data_dir.to_owned(), data_dir.to_owned())?;
        product.process_ids.extend(process_id);
        Ok(product)
    }

    fn of(started: Vec<Started>, gateway_dir: PathBuf, router_dir: PathBuf) -> Result<Product> {
        let address = address(&gateway_dir, "server").context("the server does not say where it is")?;
        let process_ids = started.iter().map(|started| started.child.id()).collect();
        Ok(Product { started, process_ids, gateway_dir, router_dir, address })
    }

    /// What was started here ends at once and begins anew, on the same folders and addresses.
    pub fn kill_and_start(&mut self) -> Result<()> {
        ensure!(!self.started.is_empty(), "a server that was not started for the run is not killed");
        self.started.iter_mut().for_each(|started| end(&mut started.child));
        for started in self.started.iter_mut().rev() {
            started.start_again()?;
        }
        self.process_ids = self.started_ids();
        Ok(())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of everything that is measured.
    pub fn process_ids(&self) -> &[u32] {
        &self.process_ids
    }

    /// Of those that end with the run.
    pub fn started_ids(&self) -> Vec<u32> {
        self.started.iter().map(|started| started.child.id()).collect()
    }

    /// What devices of its users need, with the name in its certificate.
    pub fn account(&self, resume: Resume) -> Result<Account> {
        Account::read(&self.gateway_dir, &self.router_dir, resume)
    }

    /// Where [`Account::read`] finds what it reads.
    pub fn folders(&self) -> (&Path, &Path) {
        (&self.gateway_dir, &self.router_dir)
    }

    /// So many users, made where they are not there; `say` is told how many there are.
    pub fn users(&self, count: usize, mut say: impl FnMut(usize)) -> Result<Vec<UserId>> {
        let admin = address(&self.router_dir, "admin").context("the router has no admin listener")?;
        let mut users = Vec::with_capacity(count);
        while users.len() < count {
            let end = count.min(users.len() + USERS_AT_ONCE);
            let names: Vec<String> = (users.len()..end).map(|user| format!("bench-{user}")).collect();
            let body = names.join("\n");
            let headers = format!("ringpost-order: yes\r\nContent-Length: {}\r\n", body.len());
            let (status, answer) = ask(admin, "POST /users", &headers, &body)?;
            ensure!(status.contains(" 200 "), "the server makes no users: {status}");
            let made: Vec<String> = serde_json::from_str(&answer).context("its answer is no list of users")?;
            ensure!(made.len() == names.len(), "the server has made {} of {} users", made.len(), names.len());
            for user in made {
                users.push(user.parse::<UserId>()?);
            }
            say(users.len());
        }
        Ok(users)
    }

    /// The value of a metric, with its labels if it has some, added up over the tiers; 0 where there is none.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let mut folders = vec![&self.gateway_dir, &self.router_dir];
        folders.dedup();
        let mut sum = 0.0;
        for folder in folders {
            let admin = address(folder, "admin").context("the server has no admin listener")?;
            let (_, text) = ask(admin, "GET /metrics", "", "")?;
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok();
            sum += text.lines().find_map(value).unwrap_or_default();
        }
        Ok(sum)
    }

    /// Why it is not there any more.
    pub fn check(&mut self) -> Result<()> {
        for started in &mut self.started {
            if let Some(status) = started.child.try_wait()? {
                bail!("the server has ended with {status}");
            }
        }
        Ok(())
    }
}

impl Account {
    /// From the data folders of a gateway and of its router, which may be one.
    pub fn read(gateway_dir: &Path, router_dir: &Path, resume: Resume) -> Result<Account> {
        let certificate = fs::read(gateway_dir.join("certificate.pem")).context("the server has no certificate")?;
        let key = fs::read_to_string(router_dir.join("token.key")).context("the server has no token key")?;
        Ok(Account {
            tls: TlsClient::from_pem(&certificate).context("its certificate")?,
            server_name: "localhost".to_owned(),
            signer: TokenSigner::from_paserk(key.trim()).context("token.key is no key")?,
            resume,
        })
    }
}

/// A process that has said where its admin listener is, and that it is ready. Killed when it is dropped.
struct Started {
    child: Child,
    command: Command,
    data_dir: PathBuf,
}

impl Started {
    /// It listens on a free port, as `variable` tells it, and notes in `file` which one that is: the one that it takes again.
    fn start(mut command: Command, variable: &str, file: &str, data_dir: &Path) -> Result<Started> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).env(variable, "127.0.0.1:0");
        let child = command.spawn().context("cannot start the server")?;
        let mut started = Started { child, command, data_dir: data_dir.to_owned() };
        started.wait_until_ready()?;
        let address = address(data_dir, file).context("the server does not say where it is")?;
        started.command.env(variable, address.to_string());
        Ok(started)
    }

    /// After its end. What it noted then does not say that it is ready now.
    fn start_again(&mut self) -> Result<()> {
        fs::remove_file(self.data_dir.join("admin")).context("a server that was ready has noted where it is")?;
        self.child = self.command.spawn().context("cannot start the server again")?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        let is_ready = |started: &Started| {
            let admin = address(&started.data_dir, "admin")?;
            let (status, _) = ask(admin, "GET /readyz", "", "").ok()?;
            status.contains(" 200 ").then_some(())
        };
        while is_ready(self).is_none() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status} instead of starting");
            }
            ensure!(Instant::now() < deadline, "the server was not ready within {} s", START_TIMEOUT.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The baseline. Killed when it is dropped.
pub struct Baseline {
    child: Child,
    address: SocketAddr,
}

impl Baseline {
    /// The hidden verb of this binary.
    pub fn start(binary: &Path) -> Result<Baseline> {
        let mut command = Command::new(binary);
        command.args(["bench", "baseline"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the baseline")?;
        let mut line = String::new();
        let out = child.stdout.take().context("its output is piped")?;
        BufReader::new(out).read_line(&mut line).context("the baseline does not say where it is")?;
        let address = line.trim().parse().context("the baseline does not say where it is");
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        // Dropped, and ended, where the address is none.
        let mut baseline = Baseline { child, address: unknown };
        baseline.address = address?;
        Ok(baseline)
    }

    /// Where its clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let deadline = Instant::now() + END_TIMEOUT;
    while Instant::now() < deadline && !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a server notes of itself in its folder.
fn address(data_dir: &Path, file: &str) -> Option<SocketAddr> {
    fs::read_to_string(data_dir.join(file)).ok()?.trim().parse().ok()
}

/// The status and the body of the answer.
fn ask(address: SocketAddr, question: &str, headers: &str, body: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address).context("cannot connect to admin")?;
    stream.set_read_timeout(Some(END_TIMEOUT))?;
    write!(stream, "{question} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read from admin")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("admin has answered with no HTTP")?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
