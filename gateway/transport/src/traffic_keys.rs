//! The keys of one direction of a TLS 1.3 connection, from its traffic secret (RFC 8446, section 7).
//!
//! Kept small, for a million idle connections: the expanded form of a key, ten times its size, is made when it is used and
//! kept for connections that are busy only. ChaCha20's key, as long as the secret, is derived from that each time.

use ring::aead::{AES_128_GCM, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use crate::expanded_keys;

/// Both ciphers are used with SHA-256.
pub(crate) const SECRET_SIZE: usize = 32;
/// Of both ciphers.
pub(crate) const TAG_SIZE: usize = 16;
const AES_KEY_SIZE: usize = 16;
const CHACHA_KEY_SIZE: usize = 32;

/// What seals the records of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes128Gcm,
    ChaCha20Poly1305,
}

/// See the file's head.
pub(crate) struct TrafficKeys {
    secret: [u8; SECRET_SIZE],
    /// Of AES-128, which nearly everybody has: to derive it anew costs two to three times what it takes to expand it.
    key: [u8; AES_KEY_SIZE],
    iv: [u8; NONCE_LEN],
    /// Of the next record, as the nonce takes it. A number would have to be aligned.
    sequence: [u8; 8],
}

const _: () = assert!(size_of::<TrafficKeys>() == 68, "each connection has two");

impl TrafficKeys {
    /// The first keys of a direction; `sequence` records were sealed with them already.
    pub(crate) fn new(cipher: Cipher, secret: [u8; SECRET_SIZE], sequence: u64) -> TrafficKeys {
        let sequence = sequence.to_be_bytes();
        let mut keys = TrafficKeys { secret, key: [0; AES_KEY_SIZE], iv: [0; NONCE_LEN], sequence };
        keys.derive(cipher);
        keys
    }

    /// Goes on to the next generation (section 7.2).
    pub(crate) fn update(&mut self, cipher: Cipher) {
        let secret = self.secret;
        expand(&secret, b"traffic upd", &mut self.secret);
        self.sequence = [0; 8];
        self.derive(cipher);
    }

    /// Gives the key to `use_it` for one record, with that record's nonce (section 5.3).
    pub(crate) fn next<T>(&mut self, cipher: Cipher, use_it: impl FnOnce(&LessSafeKey, Nonce) -> T) -> T {
        let nonce = self.next_nonce();
        expanded_keys::with(&self.secret, cipher, || self.expanded(cipher), |key| use_it(key, nonce))
    }

    fn expanded(&self, cipher: Cipher) -> LessSafeKey {
        let key = match cipher {
            Cipher::Aes128Gcm => UnboundKey::new(&AES_128_GCM, &self.key),
            Cipher::ChaCha20Poly1305 => {
                let mut key = [0; CHACHA_KEY_SIZE];
                expand(&self.secret, b"key", &mut key);
                UnboundKey::new(&CHACHA20_POLY1305, &key)
            }
        };
        LessSafeKey::new(key.expect("the key has the length of its algorithm"))
    }

    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        let (_, low) = nonce.split_at_mut(NONCE_LEN - 8);
        for (byte, number) in low.iter_mut().zip(self.sequence) {
            *byte ^= number;
        }
        self.sequence = (self.records_count() + 1).to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }

    /// Records that were sealed with these keys.
    pub(crate) fn records_count(&self) -> u64 {
        u64::from_be_bytes(self.sequence)
    }

    fn derive(&mut self, cipher: Cipher) {
        if cipher == Cipher::Aes128Gcm {
            expand(&self.secret, b"key", &mut self.key);
        }
        expand(&self.secret, b"iv", &mut self.iv);
    }
}

/// `HKDF-Expand-Label` without context (section 7.1).
fn expand(secret: &[u8; SECRET_SIZE], label: &[u8], output: &mut [u8]) {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let output_size = u16::try_from(output.len()).expect("keys are short").to_be_bytes();
    let label_size = [u8::try_from(PREFIX.len() + label.len()).expect("labels are short")];
    let info = [&output_size[..], &label_size, PREFIX, label, &[0]];
    let secret = Prk::new_less_safe(HKDF_SHA256, secret);
    let expanded = secret.expand(&info, Length(output.len()));
    expanded.and_then(|expanded| expanded.fill(output)).expect("keys are short");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
    }

    #[test]
    fn keys_follow_from_the_secret_as_in_rfc_8448() {
        // Section 3: {server} derive write traffic keys for application data.
        let secret =
            bytes("a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43");
        let keys = TrafficKeys::new(Cipher::Aes128Gcm, secret.try_into().expect("32 bytes"), 0);
        assert_eq!(keys.key[..], bytes("9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56"));
        assert_eq!(keys.iv[..], bytes("cf 78 2b 88 dd 83 54 9a ad f1 e9 84"));
    }

    #[test]
    fn an_update_changes_everything_and_counts_anew() {
        for cipher in [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305] {
            let mut keys = TrafficKeys::new(cipher, [7; SECRET_SIZE], 41);
            let (key, iv) = (keys.key, keys.iv);
            keys.next_nonce();
            assert_eq!(keys.records_count(), 42);
            keys.update(cipher);
            assert_eq!(keys.records_count(), 0);
            assert!(keys.iv != iv && keys.secret != [7; SECRET_SIZE]);
            assert_eq!(keys.key != key, cipher == Cipher::Aes128Gcm, "the other one's follows from the secret");
        }
    }
}
