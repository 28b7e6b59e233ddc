//! Everything that can be set, in the types of the product. Every default that the product has comes from there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use gateway_server::GatewayConfig;
use gateway_transport::KeyExchange;
use router_server::{RouterConfig, StoreConfig};

use crate::command_line::DEFAULT_DATA_DIR;
use crate::data_dir::DataDir;

/// See each key of [`super::table`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) certificate_key_file: Option<PathBuf>,
    pub(crate) key_exchange: KeyExchange,
    pub(crate) token_key_file: Option<PathBuf>,
    pub(crate) link: LinkSettings,
    pub(crate) log_filter: String,
    pub(crate) log_format: LogFormat,
    pub(crate) gateway: GatewayConfig,
    pub(crate) router: RouterConfig,
    /// Its folder is in [`Self::data_dir`].
    pub(super) store: StoreConfig,
}

/// What is between the tiers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkSettings {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) router: Option<String>,
    pub(crate) key_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

impl LogFormat {
    pub(super) const ALL: [LogFormat; 3] = [LogFormat::Auto, LogFormat::Text, LogFormat::Json];

    pub(super) fn name(self) -> &'static str {
        match self {
            LogFormat::Auto => "auto",
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Settings {
            data_dir: PathBuf::from(DEFAULT_DATA_DIR),
            http: loopback(7480),
            admin: loopback(7490),
            certificate_file: None,
            certificate_key_file: None,
            key_exchange: KeyExchange::default(),
            token_key_file: None,
            link: LinkSettings::default(),
            log_filter: "info".to_owned(),
            log_format: LogFormat::Auto,
            gateway: GatewayConfig { listen: loopback(7443), ..GatewayConfig::default() },
            router: RouterConfig::default(),
            store: StoreConfig::new(PathBuf::new()),
        }
    }
}

impl Settings {
    pub(crate) fn data_dir(&self) -> DataDir {
        DataDir::new(self.data_dir.clone())
    }

    pub(crate) fn store(&self) -> StoreConfig {
        StoreConfig { folder: self.data_dir().log(), ..self.store.clone() }
    }
}
