//! Between no connection and a live one: dialing, with a token and TLS.

use std::future::{Future, pending};
use std::pin::Pin;

use gateway_transport::{TlsClient, TrustError};
use tokio::net::TcpStream;

use crate::access_token::AccessToken;
use crate::config::Config;
use crate::connection::{Connection, network};
use crate::trouble::Trouble;

/// Where to connect to, and how.
pub(crate) struct Dialer {
    server: String,
    server_name: String,
    tls: TlsClient,
    access_token: AccessToken,
}

pub(crate) enum Link {
    None,
    Dialing(Pin<Box<dyn Future<Output = Result<Dialed, Trouble>> + Send>>),
    Up(Box<Connection>),
}

/// A socket, and the token that was valid a moment ago.
pub(crate) struct Dialed {
    stream: TcpStream,
    access_token: String,
}

/// What a link has to report.
pub(crate) enum Happening {
    /// TLS is next.
    Dialed(Dialed),
    /// Bytes have moved; there may be frames.
    Moved,
    /// It is over. There may still be frames.
    Failed(Trouble),
}

impl Dialer {
    pub(crate) fn new(config: &Config) -> Result<Dialer, TrustError> {
        let tls = TlsClient::from_pem(&config.trusted_certificates)?.keeping_sessions();
        let server_name = config.server_name().to_owned();
        tls.connect(&server_name)?;
        Ok(Dialer { server: config.server.clone(), server_name, tls, access_token: config.access_token.clone() })
    }

    pub(crate) fn dial(&self) -> Link {
        let (server, access_token) = (self.server.clone(), self.access_token.clone());
        Link::Dialing(Box::pin(async move {
            let access_token = access_token.fetch().await.map_err(Trouble::Token)?;
            let stream = TcpStream::connect(server).await.map_err(network)?;
            stream.set_nodelay(true).map_err(network)?;
            Ok(Dialed { stream, access_token })
        }))
    }

    /// The connection begins with TLS.
    pub(crate) fn secure(&self, dialed: Dialed) -> Link {
        let tls = self.tls.connect(&self.server_name).expect("the name was good when the client started");
        Link::Up(Box::new(Connection::new(dialed.stream, tls, dialed.access_token)))
    }
}

impl Link {
    /// Waits until something happens. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Happening {
        match self {
            Link::None => pending().await,
            Link::Dialing(dialing) => dialing.await.map_or_else(Happening::Failed, Happening::Dialed),
            Link::Up(connection) => match connection.turn().await {
                Ok(()) => Happening::Moved,
                Err(trouble) => Happening::Failed(trouble),
            },
        }
    }
}
