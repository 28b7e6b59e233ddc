//! The cryptography of handshakes on both sides of TLS: keys are agreed on and signatures made by AWS-LC, which takes half as
//! long for that, and all that is derived and sealed from there on is ring's, as in the record layer behind it.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::ring::cipher_suite;

use crate::key_exchange::KeyExchange;

/// Both suites of SHA-256; the third, AES-256-GCM, would make the state of every idle connection a third larger, and no
/// client of TLS 1.3 lacks AES-128-GCM (RFC 8446, section 9.1).
///
/// AES-128-GCM first: the cheapest on every processor of the last ten years, and the least state to keep of an idle
/// connection. A client that has no AES in hardware says so by its own order, which the server follows.
pub(crate) fn provider(key_exchange: KeyExchange) -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    if key_exchange == KeyExchange::Hybrid {
        provider.kx_groups.insert(0, kx_group::X25519MLKEM768);
    }
    Arc::new(provider)
}
