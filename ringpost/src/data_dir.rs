//! The data folder of a server, and what the clients beside it find there.
//!
//! `log/` (the store), `certificate.pem` and `certificate.key`, `token.key` (PASERK; whoever has it speaks for every
//! user), `token.pub` (what gateways check tokens with) and `ticket.key` (what they seal tickets with), `server`,
//! `link` and `admin` (where it listens), `demo-users.json` (name to id), `clients/NAME/` (the devices of `chat`). Secrets
//! are readable by their owner alone. A gateway has the certificate, its key and the ticket key of all that, a router the
//! rest.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gateway_server::TokenSigner;
use protocol::ids::UserId;

use crate::mistake::{Exit, Mistake};

/// Where everything is that a server keeps.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    pub(crate) fn new(path: PathBuf) -> DataDir {
        DataDir { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The store's folder.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The device that `chat` uses for this user.
    pub(crate) fn client_state(&self, name: &str) -> PathBuf {
        self.path.join("clients").join(name)
    }

    /// The certificate as PEM text: what a client beside the server trusts.
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, Mistake> {
        self.read("certificate.pem")
    }

    /// The private key of the certificate as PEM text.
    pub(crate) fn certificate_key(&self) -> Result<Vec<u8>, Mistake> {
        self.read("certificate.key")
    }

    /// What makes tokens for the users of this server.
    pub(crate) fn signer(&self) -> Result<TokenSigner, Mistake> {
        let text = self.read("token.key")?;
        let text = String::from_utf8_lossy(&text);
        TokenSigner::from_paserk(text.trim()).map_err(|error| {
            let path = self.path.join("token.key");
            Mistake::new(Exit::Data, format!("{}: {error}; put back the key that was there", path.display()))
        })
    }

    /// Where the server listens, or last did.
    pub(crate) fn server_address(&self) -> Result<SocketAddr, Mistake> {
        self.address("server", "--server HOST:PORT")
    }

    /// Where its admin listener is, or last was.
    pub(crate) fn admin_address(&self) -> Result<SocketAddr, Mistake> {
        self.address("admin", "--admin ADDR")
    }

    fn address(&self, name: &str, flag: &str) -> Result<SocketAddr, Mistake> {
        let text = self.read(name)?;
        String::from_utf8_lossy(&text).trim().parse().map_err(|_| {
            let path = self.path.join(name);
            Mistake::new(Exit::Data, format!("{} holds no address; give one with {flag}", path.display()))
        })
    }

    /// Users for whom tokens may be made by name.
    pub(crate) fn demo_users(&self) -> Result<BTreeMap<String, UserId>, Mistake> {
        let text = self.read("demo-users.json")?;
        let users: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
        Ok(users.into_iter().filter_map(|(name, id)| Some((name, id.parse().ok()?))).collect())
    }

    /// Whether a server has ever used this folder.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Makes the folder, for its owner alone.
    pub(crate) fn make(&self) -> Result<(), Mistake> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|error| {
            let path = self.path.display();
            Mistake::new(Exit::CannotCreate, format!("cannot make {path}: {error}; name another with --data-dir DIR"))
        })
    }

    pub(crate) fn save_demo_users(&self, users: &BTreeMap<String, UserId>) -> Result<(), Mistake> {
        let users: BTreeMap<&str, String> = users.iter().map(|(name, id)| (name.as_str(), id.to_string())).collect();
        let text = serde_json::to_vec_pretty(&users).expect("names and numbers are always JSON");
        self.write("demo-users.json", &text)
    }

    /// Nobody may speak in this one's name any more.
    pub(crate) fn forget_demo_user(&self, user: UserId) -> Result<(), Mistake> {
        if !self.has("demo-users.json") {
            return Ok(());
        }
        let mut users = self.demo_users()?;
        users.retain(|_, id| *id != user);
        self.save_demo_users(&users)
    }

    /// Writes a file as a whole: whoever reads sees the old one or the new one, also after a loss of power.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Mistake> {
        let path = self.path.join(name);
        write_whole(&path, content)
            .map_err(|error| Mistake::new(Exit::Io, format!("cannot write {}: {error}", path.display())))
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, Mistake> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Mistake::new(
                Exit::Unavailable,
                format!(
                    "there is no {}: no server has run on this data folder; start one with `{} dev`, or name its folder \
                     with --data-dir DIR",
                    path.display(),
                    crate::binary::path(),
                ),
            ),
            _ => Mistake::new(Exit::Io, format!("cannot read {}: {error}", path.display())),
        })
    }
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let prepared = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&prepared)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&prepared, path)?;
    fs::File::open(path.parent().expect("it is in the data folder"))?.sync_all()
}
