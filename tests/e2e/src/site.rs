//! What a client has to know of a server: where it is, what it trusts there, who its users are.

use std::collections::BTreeMap;
use std::fs;
use std::future::ready;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use client::{AccessToken, Client, Config, Events};
use gateway_core::Identity;
use gateway_server::TokenSigner;
use protocol::ids::UserId;
use protocol::time::WallTime;

use crate::server::Plan;

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// See the file's head. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    server: String,
    certificate: Vec<u8>,
    signer: Arc<TokenSigner>,
    users: BTreeMap<String, UserId>,
}

impl Site {
    /// As the data folder of a server that has started says.
    pub fn of(plan: &Plan) -> Result<Site> {
        let folder = plan.data_dir();
        let key = String::from_utf8_lossy(&read(folder, "token.key")?).into_owned();
        let signer = TokenSigner::from_paserk(key.trim()).context("token.key is no key")?;
        let users: BTreeMap<String, String> =
            serde_json::from_slice(&read(folder, "demo-users.json")?).context("demo-users.json is no map")?;
        let users = users.into_iter().map(|(name, id)| Ok((name, id.parse().context("a user id")?)));
        Ok(Site {
            server: plan.native().to_string(),
            certificate: read(folder, "certificate.pem")?,
            signer: Arc::new(signer),
            users: users.collect::<Result<_>>()?,
        })
    }

    /// The same by way of another address.
    pub fn through(self, server: SocketAddr) -> Site {
        Site { server: server.to_string(), ..self }
    }

    /// The certificate of the server as PEM text.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The id of a user.
    pub fn user(&self, name: &str) -> Result<UserId> {
        self.users.get(name).copied().with_context(|| format!("the server has no user {name}"))
    }

    /// A token for a user that is valid for so long from now.
    pub fn token(&self, user: UserId, lifetime: Duration) -> String {
        sign(&self.signer, user, lifetime)
    }

    /// What a client of this user is configured with.
    pub fn config(&self, user: UserId, identity: client::Identity) -> Config {
        let signer = Arc::clone(&self.signer);
        Config {
            server: self.server.clone(),
            server_name: Some("localhost".to_owned()),
            trusted_certificates: self.certificate.clone(),
            access_token: AccessToken::from_fn(move || ready(Ok(sign(&signer, user, TOKEN_LIFETIME)))),
            identity,
        }
    }

    /// A client that asks and keeps nothing, on the current runtime.
    pub fn transient(&self, user: UserId) -> Result<(Client, Events)> {
        Client::connect(self.config(user, client::Identity::Transient)).context("the certificate is of no use")
    }
}

fn sign(signer: &TokenSigner, user: UserId, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_at = WallTime(u64::try_from((now + lifetime).as_millis()).unwrap_or(u64::MAX));
    signer.sign(&Identity { user, device: None, expires_at })
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}
