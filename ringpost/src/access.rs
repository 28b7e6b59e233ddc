//! As whom and where a client verb connects: from its flags, and from the data folder of a server beside it.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{AccessToken, Config, Identity};
use gateway_server::{Identity as Claims, TokenSigner};
use protocol::ids::{DeviceGeneration, DeviceId, UserId};
use protocol::time::WallTime;

use crate::command_line::AccessArguments;
use crate::config::is_host_port;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// A token is made for each connection, and a session ends with its token: long enough for a day's chat.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// See the file's head.
pub(crate) struct Access {
    data_dir: DataDir,
    name: Option<String>,
    server: String,
    certificate: Vec<u8>,
    token: AccessToken,
}

impl Access {
    pub(crate) fn of(arguments: &AccessArguments) -> Result<Access, Mistake> {
        let data_dir = DataDir::new(arguments.folder.data_dir.clone());
        let server = match &arguments.server {
            Some(server) => checked_server(server)?,
            None => reachable(data_dir.server_address()?).to_string(),
        };
        let certificate = match &arguments.certificate {
            Some(file) => read(file, "--certificate")?,
            None => data_dir.certificate()?,
        };
        let token = match (&arguments.token_file, &arguments.name) {
            (Some(file), _) => token_of(file)?,
            (None, Some(name)) => token_for(&data_dir, name)?,
            (None, None) => unreachable!("the command line demands one of the two"),
        };
        Ok(Access { data_dir, name: arguments.name.clone(), server, certificate, token })
    }

    /// What a client is configured with.
    pub(crate) fn config(&self, identity: Identity) -> Config {
        Config {
            server: self.server.clone(),
            server_name: None,
            trusted_certificates: self.certificate.clone(),
            access_token: self.token.clone(),
            identity,
        }
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The name given with --as.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What a device of this user is called where it was not said, for people, in the list of the user's devices.
    pub(crate) fn device_name(&self) -> String {
        self.name
            .as_ref()
            .map_or_else(|| "chat".to_owned(), |name| format!("chat of {name}").chars().take(16).collect())
    }

    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// The id of a user as the data folder knows it, without asking the server. `None` says nothing.
    pub(crate) fn user_beside(&self, name: &str) -> Option<UserId> {
        self.data_dir.demo_users().ok()?.get(name).copied()
    }
}

/// A token for a user of the server on this data folder, or for one device of the user alone.
pub(crate) fn sign(
    signer: &TokenSigner,
    user: UserId,
    device: Option<(DeviceId, DeviceGeneration)>,
    lifetime: Duration,
) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_at = WallTime(u64::try_from((now + lifetime).as_millis()).unwrap_or(u64::MAX));
    signer.sign(&Claims { user, device, expires_at })
}

/// The id of a user for whom tokens may be made by name.
pub(crate) fn demo_user(data_dir: &DataDir, name: &str) -> Result<UserId, Mistake> {
    let users = data_dir.demo_users()?;
    users.get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = users.keys().map(String::as_str).collect();
        let text = format!(
            "no user {name} here, only {}: start the server with `{} dev --user {name}`, or bring a token with --token-file",
            known.join(", "),
            crate::binary::path(),
        );
        Mistake::new(Exit::NoUser, text)
    })
}

fn token_for(data_dir: &DataDir, name: &str) -> Result<AccessToken, Mistake> {
    let user = demo_user(data_dir, name)?;
    let signer = Arc::new(data_dir.signer()?);
    Ok(AccessToken::from_fn(move || std::future::ready(Ok(sign(&signer, user, None, TOKEN_LIFETIME)))))
}

fn token_of(file: &Path) -> Result<AccessToken, Mistake> {
    let text = read(file, "--token-file")?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    if text.is_empty() {
        let make = format!("`{} token --as NAME` makes one", crate::binary::path());
        return Err(Mistake::new(Exit::Data, format!("{} holds no token; {make}", file.display())));
    }
    Ok(AccessToken::fixed(text))
}

fn read(file: &Path, flag: &str) -> Result<Vec<u8>, Mistake> {
    fs::read(file).map_err(|error| {
        let exit = if error.kind() == ErrorKind::NotFound { Exit::NoInput } else { Exit::Io };
        Mistake::new(exit, format!("cannot read {} ({flag}): {error}", file.display()))
    })
}

fn checked_server(server: &str) -> Result<String, Mistake> {
    if is_host_port(server) {
        return Ok(server.to_owned());
    }
    Err(Mistake::new(Exit::Usage, format!("--server {server} is not HOST:PORT, as in localhost:7443")))
}

/// Who listens everywhere is found on loopback.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_found_on_loopback() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(reachable(address("0.0.0.0:1")), address("127.0.0.1:1"));
        assert_eq!(reachable(address("[::]:1")), address("[::1]:1"));
        assert_eq!(reachable(address("10.0.0.1:1")), address("10.0.0.1:1"));
    }
}
