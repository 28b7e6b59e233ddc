//! The cryptography both sides of TLS use: ring, with the suites in our order, and the hybrid group of our own.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};

use crate::hybrid_group::HybridGroup;
use crate::key_exchange::KeyExchange;

/// Both suites of SHA-256; the third, AES-256-GCM, would make the state of every idle connection a third larger, and no
/// client of TLS 1.3 lacks AES-128-GCM (RFC 8446, section 9.1).
///
/// AES-128-GCM first: the cheapest on every processor of the last ten years, and the least state to keep of an idle
/// connection. A client that has no AES in hardware says so by its own order, which the server follows.
pub(crate) fn provider(key_exchange: KeyExchange) -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    if key_exchange == KeyExchange::Hybrid {
        provider.kx_groups.insert(0, &HybridGroup);
    }
    Arc::new(provider)
}
