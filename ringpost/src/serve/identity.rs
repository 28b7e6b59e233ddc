//! Who a server is: the certificate that clients see and the key that signs tokens. What is not there is made at the
//! first start; an operator puts better ones in their place.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use gateway_server::{TRUSTED_KEYS_MAX, TicketKey, TokenPublicKey, TokenSigner};
use gateway_transport::{ServerIdentity, SessionTickets, TlsServer, TlsSettings};
use protocol_shell::clock;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// Where a router leaves the public half of its token key, and where a gateway looks for one.
const TOKEN_PUBLIC_KEY: &str = "token.pub";

const TICKET_KEY: &str = "ticket.key";
/// An older key is exchanged. Longer than a ticket lasts, so that none is lost by that.
const TICKET_KEY_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// What clients see: the files that are named, or else those in the data folder.
pub(crate) fn tls_server(settings: &Settings, session_tickets: SessionTickets) -> Result<TlsServer, Mistake> {
    let data_dir = settings.data_dir();
    let (certificate, key, place) = match (&settings.certificate_file, &settings.certificate_key_file) {
        (Some(certificate), Some(key)) => (read(certificate)?, read(key)?, certificate.as_path()),
        _ => (data_dir.certificate()?, data_dir.certificate_key()?, data_dir.path()),
    };
    let tls = TlsSettings { key_exchange: settings.key_exchange, session_tickets: Some(session_tickets) };
    ServerIdentity::from_pem(&certificate, &key)
        .and_then(|identity| TlsServer::with_settings(identity, tls))
        .map_err(|error| Mistake::new(Exit::Config, format!("{}: {error}", place.display())))
}

/// Makes a certificate in the data folder where there is none and none is named. It names where clients connect beside
/// the names of loopback.
pub(crate) fn ensure_certificate(settings: &Settings) -> Result<(), Mistake> {
    let data_dir = settings.data_dir();
    if settings.certificate_file.is_some() || data_dir.has("certificate.pem") {
        return Ok(());
    }
    let (certificate, key) = self_signed(settings.gateway.listen.ip())?;
    // The certificate last: where it is, its key is too.
    data_dir.write("certificate.key", key.as_bytes())?;
    data_dir.write("certificate.pem", certificate.as_bytes())
}

fn read(file: &Path) -> Result<Vec<u8>, Mistake> {
    std::fs::read(file).map_err(|error| Mistake::new(Exit::Config, format!("{}: {error}", file.display())))
}

/// Makes what makes tokens where there is none. Its public half lies beside it, for gateways elsewhere.
pub(crate) fn ensure_token_key(data_dir: &DataDir) -> Result<(), Mistake> {
    if !data_dir.has("token.key") {
        let no_randomness = |error| Mistake::new(Exit::Software, format!("cannot make a token key: {error}"));
        let signer = TokenSigner::generate().map_err(no_randomness)?;
        data_dir.write("token.key", signer.to_paserk().as_bytes())?;
    }
    let signer = data_dir.signer()?;
    data_dir.write(TOKEN_PUBLIC_KEY, format!("{}\n", signer.public_key().to_paserk()).as_bytes())
}

/// What a gateway checks tokens with: the keys of this file, one a line.
pub(crate) fn token_public_keys(settings: &Settings) -> Result<Vec<TokenPublicKey>, Mistake> {
    let in_data_dir = || settings.data_dir.join(TOKEN_PUBLIC_KEY);
    let path = settings.token_key_file.clone().unwrap_or_else(in_data_dir);
    let mistake = |why: String| {
        let text = format!(
            "{}: {why}; copy {TOKEN_PUBLIC_KEY} from the data folder of the router, or name it with --token-key-file FILE",
            path.display()
        );
        Mistake::new(Exit::Config, text)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| mistake(error.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Result<Vec<_>, _> = lines.map(TokenPublicKey::from_paserk).collect();
    let keys = keys.map_err(|error| mistake(error.to_string()))?;
    if (1..=TRUSTED_KEYS_MAX).contains(&keys.len()) {
        Ok(keys)
    } else {
        Err(mistake(format!("it has {} keys, and must have 1 to {TRUSTED_KEYS_MAX}", keys.len())))
    }
}

/// What tickets are sealed with: one key a line, with the time at which it was made in front, the newest first. An old one
/// is exchanged at a start; the tickets of the one before, which comes second, are taken all the same.
pub(crate) fn ticket_keys(data_dir: &DataDir) -> Result<(TicketKey, Option<TicketKey>), Mistake> {
    let now_ms = clock::now().wall.0;
    let mut keys = if data_dir.has(TICKET_KEY) { read_ticket_keys(data_dir)? } else { Vec::new() };
    let is_fresh =
        |(made_at_ms, _): &(u64, TicketKey)| now_ms.saturating_sub(*made_at_ms) < TICKET_KEY_AGE_MAX.as_millis() as u64;
    if !keys.first().is_some_and(is_fresh) {
        let no_randomness = |error| Mistake::new(Exit::Software, format!("cannot make a ticket key: {error}"));
        keys.insert(0, (now_ms, TicketKey::generate().map_err(no_randomness)?));
        keys.truncate(2);
        let lines = keys.iter().map(|(made_at_ms, key)| format!("{made_at_ms} {}\n", key.to_paserk()));
        data_dir.write(TICKET_KEY, lines.collect::<String>().as_bytes())?;
    }
    let mut keys = keys.into_iter().map(|(_, key)| key);
    Ok((keys.next().expect("there is one by now"), keys.next()))
}

fn read_ticket_keys(data_dir: &DataDir) -> Result<Vec<(u64, TicketKey)>, Mistake> {
    let text = data_dir.read(TICKET_KEY)?;
    let key = |line: &str| {
        let (made_at_ms, key) = line.trim().split_once(' ')?;
        Some((made_at_ms.parse().ok()?, TicketKey::from_paserk(key).ok()?))
    };
    let keys: Option<Vec<_>> = String::from_utf8_lossy(&text).lines().take(2).map(key).collect();
    keys.ok_or_else(|| {
        let path = data_dir.path().join(TICKET_KEY);
        let text = format!(
            "{} holds no ticket keys; remove it, and devices come back with their access tokens",
            path.display()
        );
        Mistake::new(Exit::Data, text)
    })
}

fn self_signed(listen: IpAddr) -> Result<(String, String), Mistake> {
    let failed = |error| Mistake::new(Exit::Software, format!("cannot make a certificate: {error}"));
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "Ringpost development server");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
