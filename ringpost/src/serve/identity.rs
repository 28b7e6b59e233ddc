//! Who a development server is: a self-signed certificate and the key that signs tokens, made at the first start.

use std::net::IpAddr;

use gateway_server::TokenSigner;
use gateway_transport::ServerIdentity;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// Reads both, or makes them. `listen` is named in the certificate beside the names of loopback.
pub(super) fn load_or_make(data_dir: &DataDir, listen: IpAddr) -> Result<(ServerIdentity, TokenSigner), Mistake> {
    if !data_dir.has("certificate.pem") {
        let (certificate, key) = self_signed(listen)?;
        // The certificate last: where it is, its key is too.
        data_dir.write("certificate.key", key.as_bytes())?;
        data_dir.write("certificate.pem", certificate.as_bytes())?;
    }
    if !data_dir.has("token.key") {
        let no_randomness = |error| Mistake::new(Exit::Software, format!("cannot make a token key: {error}"));
        let signer = TokenSigner::generate().map_err(no_randomness)?;
        data_dir.write("token.key", signer.to_paserk().as_bytes())?;
    }
    let identity = ServerIdentity::from_pem(&data_dir.certificate()?, &data_dir.certificate_key()?)
        .map_err(|error| Mistake::new(Exit::Config, format!("{}: {error}", data_dir.path().display())))?;
    Ok((identity, data_dir.signer()?))
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
