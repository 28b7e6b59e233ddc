//! The group X25519MLKEM768 for the library's handshake: X25519 of its own provider joined with ML-KEM-768 of libcrux. A
//! secret is known to whoever breaks both, and to nobody who breaks one.
//!
//! In shares and in the secret the half of ML-KEM comes first (draft-ietf-tls-ecdhe-mlkem).

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// FIPS 203, section 8, table 3.
const PUBLIC_KEY_SIZE: usize = 1184;
const CIPHERTEXT_SIZE: usize = 1088;

const INVALID_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

/// See the file's head.
#[derive(Debug)]
pub(crate) struct HybridGroup;

/// A client's half of an exchange.
struct Started {
    classical: Box<dyn ActiveKeyExchange>,
    post_quantum: Box<MlKem768PrivateKey>,
    share: Vec<u8>,
}

impl SupportedKxGroup for HybridGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = X25519.start()?;
        let (private, public) = mlkem768::generate_key_pair(random()?).into_parts();
        let share = [public.as_slice(), classical.pub_key()].concat();
        Ok(Box::new(Started { classical, post_quantum: Box::new(private), share }))
    }

    fn start_and_complete(&self, share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (public, classical) = share.split_first_chunk::<PUBLIC_KEY_SIZE>().ok_or(INVALID_SHARE)?;
        let public = MlKem768PublicKey::from(public);
        if !mlkem768::validate_public_key(&public) {
            return Err(INVALID_SHARE);
        }
        let classical = X25519.start_and_complete(classical)?;
        let (ciphertext, secret) = mlkem768::encapsulate(&public, random()?);
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [ciphertext.as_slice(), &classical.pub_key[..]].concat(),
            secret: joined(&secret, &classical.secret),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, classical) = share.split_first_chunk::<CIPHERTEXT_SIZE>().ok_or(INVALID_SHARE)?;
        let classical = self.classical.complete(classical)?;
        let secret = mlkem768::decapsulate(&self.post_quantum, &MlKem768Ciphertext::from(ciphertext));
        Ok(joined(&secret, &classical))
    }

    /// A server that has X25519 alone takes that, and need not ask again.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        HybridGroup.name()
    }
}

fn joined(post_quantum: &[u8], classical: &SharedSecret) -> SharedSecret {
    SharedSecret::from([post_quantum, classical.secret_bytes()].concat())
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], Error> {
    let mut bytes = [0; SIZE];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::FailedToGetRandomBytes)?;
    Ok(bytes)
}
