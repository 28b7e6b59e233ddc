//! A router and two gateways as processes of their own, with a proxy on each link, and one in front of the gateways.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cast::MORE_USERS;
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::server::{Plan, Server, Tier};
use crate::site::Site;
use crate::{binary, port};

/// How many gateways.
pub const GATEWAYS_COUNT: usize = 2;

/// What all of them are made from, again and again.
pub struct Cluster {
    /// The one router.
    pub router: Plan,
    /// By index.
    pub gateways: Vec<Plan>,
    /// By index of the gateway: between it and the router.
    pub links: Vec<Proxy>,
    /// Clients connect here, and come to either gateway.
    pub balancer: Proxy,
}

impl Cluster {
    /// `disk` is for data, `memory` for logs. Nothing runs yet.
    pub fn plan(disk: &Scratch, memory: &Scratch) -> Result<Cluster> {
        let key = disk.path().join("link.key");
        make_link_key(&key)?;
        let key = key.to_str().context("a path that is text")?;
        let link = port::free_address()?.to_string();
        let users: Vec<&str> = ["alice", "bob"].into_iter().chain(MORE_USERS.iter().copied()).collect();
        let router = Plan::new(&disk.path().join("router"), &memory.folder("router")?)?
            .tier(Tier::Router)
            .users(&users)
            .flags(&["--link", &link, "--link-key-file", key]);
        let token_key = router.data_dir().join("token.pub");
        let token_key = token_key.to_str().context("a path that is text")?;
        let (mut gateways, mut links) = (Vec::new(), Vec::new());
        for index in 0..GATEWAYS_COUNT {
            let proxy = Proxy::start(vec![link.parse()?])?;
            let (name, router) = (format!("gateway-{index}"), proxy.address().to_string());
            let flags = ["--router", &router, "--link-key-file", key, "--token-key-file", token_key];
            let gateway = Plan::new(&disk.path().join(&name), &memory.folder(&name)?)?.tier(Tier::Gateway);
            gateways.push(gateway.flags(&flags));
            links.push(proxy);
        }
        let balancer = Proxy::start(gateways.iter().map(Plan::native).collect())?;
        Ok(Cluster { router, gateways, links, balancer })
    }

    /// Starts all of them for the first time. All gateways show the certificate that the first one makes.
    pub fn start(&self) -> Result<(Server, Vec<Server>)> {
        let router = self.router.start()?;
        let mut servers = Vec::new();
        for gateway in &self.gateways {
            if let Some(first) = self.gateways.first().filter(|first| first.data_dir() != gateway.data_dir()) {
                fs::create_dir_all(gateway.data_dir()).context("cannot make a folder for a gateway")?;
                for name in ["certificate.pem", "certificate.key"] {
                    copy(first.data_dir(), gateway.data_dir(), name)?;
                }
            }
            servers.push(gateway.start()?);
        }
        let first = self.gateways.first().context("there are gateways")?;
        // Clients look for it where they find the token key.
        copy(first.data_dir(), self.router.data_dir(), "certificate.pem")?;
        Ok((router, servers))
    }

    /// What clients have to know.
    pub fn site(&self) -> Result<Site> {
        Ok(Site::of(&self.router)?.through(self.balancer.address()))
    }
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::copy(from.join(name), to.join(name)).with_context(|| format!("cannot copy {name}"))?;
    Ok(())
}

fn make_link_key(path: &Path) -> Result<()> {
    let status = std::process::Command::new(binary::ringpost()?).arg("link-key").arg("--out").arg(path).status();
    ensure!(status.context("cannot start ringpost")?.success(), "`ringpost link-key` has failed");
    Ok(())
}
