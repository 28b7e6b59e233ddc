//! Access tokens: PASETO v4.public, checked with a public key alone, without a database.
//!
//! The payload is one JSON object: `sub` (user id, decimal digits), `realm` (number), `exp` (RFC 3339), and optionally
//! `nbf` (RFC 3339), `device` (device id, decimal digits) with `generation` (number), which bind it to one device.
//! Claims that are not named here and the footer are ignored; there is no implicit assertion.

use std::fmt;
use std::time::Duration;

use gateway_core::{AuthRefusal, Identity};
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::paserk::FormatAsPaserk;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use protocol::ids::{DeviceGeneration, Realm, UserId};
use protocol::time::WallTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::token_public_key::TokenPublicKey;

/// A longer token is refused unread. Ours have about 300 bytes.
pub const ACCESS_TOKEN_SIZE_MAX: usize = 2048;
/// Public keys trusted at a time: one, and while it is exchanged two. A forged token costs one check with each.
pub const TRUSTED_KEYS_MAX: usize = 4;
/// 9999-12-31T23:59:59Z: later times have no text form.
const LAST_SECOND_OF_RFC_3339: i64 = 253_402_300_799;
/// How far the issuer's clock may be ahead of ours.
const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(60);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Too long, not a token of this kind, or not signed with a trusted key.
    Untrusted,
    /// Signed with a trusted key, and the claims are missing, of a wrong form or contradict each other.
    ClaimsInvalid,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
}

/// A text or bytes that are no Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInvalid;

/// Checks tokens.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: Vec<TokenPublicKey>,
}

/// An Ed25519 key pair that makes tokens. Has no Debug.
pub struct TokenSigner {
    secret: AsymmetricSecretKey<V4>,
    public: TokenPublicKey,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    sub: String,
    realm: u16,
    exp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
}

impl From<TokenRefusal> for AuthRefusal {
    fn from(refusal: TokenRefusal) -> AuthRefusal {
        match refusal {
            TokenRefusal::Untrusted | TokenRefusal::ClaimsInvalid | TokenRefusal::NotYetValid => AuthRefusal::Invalid,
            TokenRefusal::Expired => AuthRefusal::Expired,
        }
    }
}

impl TokenVerifier {
    /// Trusts these keys, between one and [`TRUSTED_KEYS_MAX`].
    pub fn new(keys: Vec<TokenPublicKey>) -> TokenVerifier {
        assert!((1..=TRUSTED_KEYS_MAX).contains(&keys.len()), "{} token keys are configured", keys.len());
        TokenVerifier { keys }
    }

    /// Costs one signature check, about 50 µs, and for a forged token one with each key.
    pub fn verify(&self, token: &str, now: WallTime) -> Result<Identity, TokenRefusal> {
        if token.len() > ACCESS_TOKEN_SIZE_MAX {
            return Err(TokenRefusal::Untrusted);
        }
        let token = UntrustedToken::try_from(token).map_err(|_| TokenRefusal::Untrusted)?;
        if !self.keys.iter().any(|key| key.has_signed(&token, b"")) {
            return Err(TokenRefusal::Untrusted);
        }
        let payload: Payload =
            serde_json::from_slice(token.untrusted_payload()).map_err(|_| TokenRefusal::ClaimsInvalid)?;
        let identity = payload.identity().ok_or(TokenRefusal::ClaimsInvalid)?;
        let not_before = match &payload.nbf {
            Some(text) => parse_time(text).ok_or(TokenRefusal::ClaimsInvalid)?,
            None => WallTime(0),
        };
        if not_before > now.plus(NOT_BEFORE_LEEWAY) {
            return Err(TokenRefusal::NotYetValid);
        }
        if identity.expires_at <= now {
            return Err(TokenRefusal::Expired);
        }
        Ok(identity)
    }
}

impl TokenSigner {
    /// A new key pair from the system's randomness.
    pub fn generate() -> std::io::Result<TokenSigner> {
        let pair = AsymmetricKeyPair::<V4>::generate().map_err(|_| std::io::Error::other("no randomness"))?;
        let public = TokenPublicKey::new(pair.public).expect("a secret key has a public one of large order");
        Ok(TokenSigner { secret: pair.secret, public })
    }

    /// From its text form, `k4.secret.…` (PASERK).
    pub fn from_paserk(text: &str) -> Result<TokenSigner, KeyInvalid> {
        let secret = AsymmetricSecretKey::<V4>::try_from(text).map_err(|_| KeyInvalid)?;
        let public = AsymmetricPublicKey::try_from(&secret).map_err(|_| KeyInvalid)?;
        Ok(TokenSigner { secret, public: TokenPublicKey::new(public)? })
    }

    /// Its text form, `k4.secret.…` (PASERK). Whoever has it can speak for every user.
    pub fn to_paserk(&self) -> String {
        let mut text = String::new();
        self.secret.fmt(&mut text).expect("writing to memory does not fail");
        text
    }

    /// What checks the tokens of this signer.
    pub fn public_key(&self) -> TokenPublicKey {
        self.public.clone()
    }

    /// Makes a token. Parts of a second of the expiry are dropped.
    pub fn sign(&self, identity: &Identity) -> String {
        let payload = Payload {
            sub: identity.user.to_string(),
            realm: identity.user.realm().0,
            exp: format_time(identity.expires_at),
            nbf: None,
            device: identity.device.map(|(device, _)| device.to_string()),
            generation: identity.device.map(|(_, generation)| generation.0),
        };
        let payload = serde_json::to_vec(&payload).expect("text and numbers are always JSON");
        PublicToken::sign(&self.secret, &payload, None, None).expect("the key was checked when it was made")
    }
}

impl Payload {
    fn identity(&self) -> Option<Identity> {
        let user: UserId = self.sub.parse().ok()?;
        if user.realm() != Realm(self.realm) {
            return None;
        }
        let device = match (&self.device, self.generation) {
            (Some(device), Some(generation)) => Some((device.parse().ok()?, DeviceGeneration(generation))),
            (None, None) => None,
            _ => return None,
        };
        Some(Identity { user, device, expires_at: parse_time(&self.exp)? })
    }
}

fn parse_time(text: &str) -> Option<WallTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    Some(WallTime(seconds.saturating_mul(1000)))
}

fn format_time(time: WallTime) -> String {
    let seconds = i64::try_from(time.0 / 1000).expect("a thousandth of a u64 fits").min(LAST_SECOND_OF_RFC_3339);
    let time = OffsetDateTime::from_unix_timestamp(seconds).expect("within the calendar");
    time.format(&Rfc3339).expect("the year has four digits")
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenRefusal::Untrusted => "the access token is not signed by anybody who is trusted here",
            TokenRefusal::ClaimsInvalid => "the claims of the access token are not of the wanted form",
            TokenRefusal::NotYetValid => "the access token is not valid yet; check the clocks",
            TokenRefusal::Expired => "the access token has expired",
        })
    }
}

impl std::error::Error for TokenRefusal {}

impl fmt::Display for KeyInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a PASERK key of version 4")
    }
}

impl std::error::Error for KeyInvalid {}

#[cfg(test)]
mod tests {
    use protocol::ids::DeviceId;

    use super::*;

    const NOW: WallTime = WallTime(1_764_000_000_000);

    fn identity() -> Identity {
        Identity {
            user: UserId::new(Realm(7), 42),
            device: Some((DeviceId(9), DeviceGeneration(3))),
            expires_at: NOW.plus(Duration::from_secs(60)),
        }
    }

    fn signer_and_verifier() -> (TokenSigner, TokenVerifier) {
        let signer = TokenSigner::generate().expect("randomness");
        let verifier = TokenVerifier::new(vec![signer.public_key()]);
        (signer, verifier)
    }

    fn sign_json(signer: &TokenSigner, payload: &str) -> String {
        PublicToken::sign(&signer.secret, payload.as_bytes(), None, None).expect("signed")
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let (signer, verifier) = signer_and_verifier();
        for identity in [identity(), Identity { device: None, ..identity() }] {
            let token = signer.sign(&identity);
            assert!(token.starts_with("v4.public.") && token.len() < 512, "{token}");
            assert_eq!(verifier.verify(&token, NOW), Ok(identity));
            assert_eq!(verifier.verify(&token, identity.expires_at), Err(TokenRefusal::Expired));
        }
    }

    #[test]
    fn keys_survive_their_text_form() {
        let (signer, _) = signer_and_verifier();
        let again = TokenSigner::from_paserk(&signer.to_paserk()).expect("its own text");
        let public = TokenPublicKey::from_paserk(&again.public_key().to_paserk()).expect("its own text");
        assert!(signer.public_key() == public);
        assert_eq!(TokenVerifier::new(vec![public]).verify(&signer.sign(&identity()), NOW), Ok(identity()));
        assert_eq!(TokenPublicKey::from_paserk("k4.public.AAAA").err(), Some(KeyInvalid));
    }

    #[test]
    fn a_stranger_and_a_forger_are_refused() {
        let (signer, _) = signer_and_verifier();
        let (_, verifier) = signer_and_verifier();
        let token = signer.sign(&identity());
        assert_eq!(verifier.verify(&token, NOW), Err(TokenRefusal::Untrusted));
        let (signer, verifier) = signer_and_verifier();
        let token = signer.sign(&identity());
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(verifier.verify(&forged, NOW), Err(TokenRefusal::Untrusted), "byte {index}");
        }
        for text in ["", "v4.public.", "v4.local.AAAA", "no token", &"v4.public.".repeat(1000)] {
            assert_eq!(verifier.verify(text, NOW), Err(TokenRefusal::Untrusted), "{text}");
        }
    }

    #[test]
    fn a_key_in_exchange_is_trusted_beside_the_old_one() {
        let (old, _) = signer_and_verifier();
        let (new, _) = signer_and_verifier();
        let verifier = TokenVerifier::new(vec![old.public_key(), new.public_key()]);
        for signer in [old, new] {
            assert_eq!(verifier.verify(&signer.sign(&identity()), NOW), Ok(identity()));
        }
    }

    #[test]
    fn claims_of_another_form_are_refused() {
        let (signer, verifier) = signer_and_verifier();
        let user = UserId::new(Realm(7), 42).0;
        let exp = r#""exp":"2030-01-01T00:00:00Z""#;
        let verdict = |payload: String| verifier.verify(&sign_json(&signer, &payload), NOW).err();
        assert_eq!(verdict(format!(r#"{{"sub":"{user}","realm":7,{exp},"iss":"any"}}"#)), None);
        assert_eq!(verdict(format!(r#"{{"sub":"{user}","realm":7,{exp},"nbf":"2025-01-01T00:00:00+01:00"}}"#)), None);
        let not_yet = format!(r#"{{"sub":"{user}","realm":7,{exp},"nbf":"2029-01-01T00:00:00Z"}}"#);
        assert_eq!(verdict(not_yet), Some(TokenRefusal::NotYetValid));
        for payload in [
            format!(r#"{{"sub":"{user}","realm":8,{exp}}}"#),
            format!(r#"{{"sub":"alice","realm":7,{exp}}}"#),
            format!(r#"{{"sub":"{user}","realm":7}}"#),
            format!(r#"{{"sub":"{user}","realm":7,"exp":"tomorrow"}}"#),
            format!(r#"{{"sub":"{user}","realm":7,"exp":"1960-01-01T00:00:00Z"}}"#),
            format!(r#"{{"sub":"{user}","realm":7,{exp},"device":"9"}}"#),
            format!(r#"{{"sub":"{user}","realm":7,{exp},"generation":1}}"#),
            "[]".to_owned(),
        ] {
            assert_eq!(verdict(payload.clone()), Some(TokenRefusal::ClaimsInvalid), "{payload}");
        }
    }

    #[test]
    fn an_expiry_beyond_every_calendar_is_the_last_one_that_can_be_written() {
        let (signer, verifier) = signer_and_verifier();
        let token = signer.sign(&Identity { expires_at: WallTime(u64::MAX), ..identity() });
        let expires_at = verifier.verify(&token, NOW).expect("not expired").expires_at;
        assert_eq!(expires_at, WallTime(LAST_SECOND_OF_RFC_3339 as u64 * 1000));
    }
}
