//! The link key: what the processes of one cluster have in common and nobody else has.
//!
//! An Ed25519 private key (RFC 8410) as PKCS #8 in PEM text. Both ends of a link sign with it and both accept its public
//! key and no other, so whoever has the file is a member. Reading and comparing is all that happens here.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// See the file's head. Cheap to clone.
#[derive(Clone)]
pub struct LinkKey {
    certified: Arc<CertifiedKey>,
    public: SubjectPublicKeyInfoDer<'static>,
}

/// Why a text is no link key. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKeyInvalid {
    /// No PEM block `PRIVATE KEY`.
    NoKey,
    /// A private key of another kind, or a damaged one.
    NoEd25519Key,
}

impl LinkKey {
    /// Reads the first private key of a PEM text.
    pub fn from_pem(text: &[u8]) -> Result<LinkKey, LinkKeyInvalid> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| LinkKeyInvalid::NoKey)?;
        let key = any_eddsa_type(&key).map_err(|_| LinkKeyInvalid::NoEd25519Key)?;
        let public = key.public_key().ok_or(LinkKeyInvalid::NoEd25519Key)?.into_owned();
        // With raw public keys (RFC 7250) the key itself stands where a certificate would be.
        let raw = CertificateDer::from(public.to_vec());
        Ok(LinkKey { certified: Arc::new(CertifiedKey::new(vec![raw], key)), public })
    }

    /// Tells two keys apart in a log without giving anything away: the start of the SHA-256 of the public key.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.public);
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    pub(crate) fn public(&self) -> &SubjectPublicKeyInfoDer<'static> {
        &self.public
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkKey").field(&self.fingerprint()).finish()
    }
}

impl fmt::Display for LinkKeyInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkKeyInvalid::NoKey => "there is no PRIVATE KEY block in it",
            LinkKeyInvalid::NoEd25519Key => "its key is damaged, or of another kind than Ed25519",
        })
    }
}

impl std::error::Error for LinkKeyInvalid {}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;

    #[test]
    fn a_key_is_read_and_told_from_others_and_its_secret_is_not_shown() {
        let pem = KeyPair::generate_for(&PKCS_ED25519).expect("randomness").serialize_pem();
        let key = LinkKey::from_pem(pem.as_bytes()).expect("a key");
        let again = LinkKey::from_pem(pem.as_bytes()).expect("a key");
        assert_eq!(key.fingerprint(), again.fingerprint());
        assert_eq!(format!("{key:?}"), format!("LinkKey(\"{}\")", key.fingerprint()));
        let other = KeyPair::generate_for(&PKCS_ED25519).expect("randomness").serialize_pem();
        assert_ne!(LinkKey::from_pem(other.as_bytes()).expect("a key").fingerprint(), key.fingerprint());
    }

    #[test]
    fn what_is_no_link_key_is_refused() {
        let ecdsa = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("randomness").serialize_pem();
        let why = |text: &str| LinkKey::from_pem(text.as_bytes()).map(|_| ()).expect_err("no link key");
        assert_eq!(why(&ecdsa), LinkKeyInvalid::NoEd25519Key);
        assert_eq!(why("secret"), LinkKeyInvalid::NoKey);
        assert_eq!(why(""), LinkKeyInvalid::NoKey);
    }
}
