//! Who a server is: the certificate that clients see and the key that signs tokens. What is not there is made at the
//! first start; an operator puts better ones in their place.

use std::net::IpAddr;
use std::path::Path;

use gateway_server::{TRUSTED_KEYS_MAX, TokenPublicKey, TokenSigner};
use gateway_transport::{ServerIdentity, TlsServer};
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// Where a router leaves the public half of its token key, and where a gateway looks for one.
const TOKEN_PUBLIC_KEY: &str = "token.pub";

/// What clients see: the files that are named, or else those in the data folder.
pub(crate) fn certificate(settings: &Settings) -> Result<TlsServer, Mistake> {
    let data_dir = settings.data_dir();
    let (certificate, key, place) = match (&settings.certificate_file, &settings.certificate_key_file) {
        (Some(certificate), Some(key)) => (read(certificate)?, read(key)?, certificate.as_path()),
        _ => (data_dir.certificate()?, data_dir.certificate_key()?, data_dir.path()),
    };
    ServerIdentity::from_pem(&certificate, &key)
        .and_then(TlsServer::new)
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
