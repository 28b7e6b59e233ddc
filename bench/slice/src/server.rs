//! The servers that are measured, as processes of their own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gateway_core::Identity;
use gateway_server::TokenSigner;
use protocol::ids::UserId;
use protocol::time::WallTime;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Killed when it is dropped.
pub(crate) struct Product {
    child: Child,
    data_dir: PathBuf,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Product {
    /// `ringpost dev` with so many users, on an empty folder.
    pub(crate) fn start(binary: &Path, data_dir: &Path, users: usize) -> Result<Product> {
        let mut command = Command::new(binary);
        command.arg("dev").arg("--data-dir").arg(data_dir).env("RINGPOST_LOG", "warn");
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args((0..users).flat_map(|user| ["--user".to_owned(), name(user)]));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start the server")?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut product = Product { child, data_dir: data_dir.to_owned(), address: unknown, admin: unknown };
        let deadline = Instant::now() + START_TIMEOUT;
        while !product.is_ready() {
            if let Some(status) = product.child.try_wait()? {
                bail!("the server ended with {status} instead of starting");
            }
            if Instant::now() > deadline {
                bail!("the server was not ready within {} s", START_TIMEOUT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(product)
    }

    fn is_ready(&mut self) -> bool {
        let address = |file: &str| fs::read_to_string(self.data_dir.join(file)).ok()?.trim().parse().ok();
        let (Some(server), Some(admin)) = (address("server"), address("admin")) else { return false };
        (self.address, self.admin) = (server, admin);
        page(admin, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn certificate(&self) -> Result<Vec<u8>> {
        fs::read(self.data_dir.join("certificate.pem")).context("the server has no certificate")
    }

    /// Users by number, each with an access token.
    pub(crate) fn users(&self, count: usize) -> Result<Vec<(UserId, String)>> {
        let text = fs::read_to_string(self.data_dir.join("token.key")).context("the server has no token key")?;
        let signer = TokenSigner::from_paserk(text.trim()).context("token.key is no key")?;
        let text = fs::read(self.data_dir.join("demo-users.json")).context("the server has no users")?;
        let ids: BTreeMap<String, String> = serde_json::from_slice(&text)?;
        let expires_at = WallTime(u64::MAX / 2);
        (0..count)
            .map(|user| {
                let user: UserId = ids.get(&name(user)).context("a user is missing")?.parse()?;
                Ok((user, signer.sign(&Identity { user, device: None, expires_at })))
            })
            .collect()
    }

    /// The value of a metric, with its labels if it has some; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let text = page(self.admin, "/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        Ok(value.unwrap_or_default())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The baseline. Killed when it is dropped.
pub(crate) struct Baseline {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Baseline {
    pub(crate) fn start(binary: &Path) -> Result<Baseline> {
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

    pub(crate) fn process_id(&self) -> u32 {
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

fn name(user: usize) -> String {
    format!("bench-{user}")
}

fn page(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).context("cannot connect to admin")?;
    stream.set_read_timeout(Some(END_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read from admin")?;
    Ok(answer)
}
