//! The public half of a token key: what it has signed.
//!
//! `pasetors` takes a token to pieces, and AWS-LC checks the signature, in two thirds of the time. Nothing passes here that
//! would not pass there. Both want S below the order of the group; AWS-LC multiplies by no cofactor and compares R with
//! its only encoding, which is the narrower rule of the two in RFC 8032 (section 5.1.7). What it does not ask for is asked
//! for here: neither the key nor R is of small order, and the key is written in its only form. Who has no secret key gains
//! nothing by either.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ed25519_compact::PublicKey as Point;
use pasetors::Public;
use pasetors::keys::AsymmetricPublicKey;
use pasetors::paserk::FormatAsPaserk;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};

use crate::access_token::KeyInvalid;

/// An Ed25519 public key.
#[derive(Clone, PartialEq)]
pub struct TokenPublicKey(AsymmetricPublicKey<V4>);

impl TokenPublicKey {
    pub(crate) fn new(key: AsymmetricPublicKey<V4>) -> Result<TokenPublicKey, KeyInvalid> {
        if is_large_point(key.as_bytes()) { Ok(TokenPublicKey(key)) } else { Err(KeyInvalid) }
    }

    /// From its text form, `k4.public.…` (PASERK).
    pub fn from_paserk(text: &str) -> Result<TokenPublicKey, KeyInvalid> {
        AsymmetricPublicKey::try_from(text).map_err(|_| KeyInvalid).and_then(TokenPublicKey::new)
    }

    /// Its text form, `k4.public.…` (PASERK).
    pub fn to_paserk(&self) -> String {
        let mut text = String::new();
        self.0.fmt(&mut text).expect("writing to memory does not fail");
        text
    }

    /// Whether the token was signed with this key, its footer with it.
    pub(crate) fn has_signed(&self, token: &UntrustedToken<Public, V4>, implicit_assertion: &[u8]) -> bool {
        let payload = token.untrusted_payload();
        let signature = token.untrusted_message().get(payload.len()..).unwrap_or_default();
        let Some(r) = signature.first_chunk::<{ Point::BYTES }>() else { return false };
        let signed = encoded(&[PublicToken::HEADER.as_bytes(), payload, token.untrusted_footer(), implicit_assertion]);
        UnparsedPublicKey::new(&ED25519, self.0.as_bytes()).verify(&signed, signature).is_ok() && is_large_point(r)
    }
}

/// Whether these are the only encoding of a point, and that is not of small order.
fn is_large_point(bytes: &[u8]) -> bool {
    Point::from_slice(bytes).is_ok_and(|point| point.validate().is_ok())
}

/// PAE, the encoding that is signed (PASETO, Common Implementation Details). Sizes are far below 2^63, which it wants.
fn encoded(pieces: &[&[u8]]) -> Vec<u8> {
    let size = |size: usize| (size as u64).to_le_bytes();
    let mut encoded = size(pieces.len()).to_vec();
    for piece in pieces {
        encoded.extend_from_slice(&size(piece.len()));
        encoded.extend_from_slice(piece);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    type Token = UntrustedToken<Public, V4>;

    /// Of all vectors of PASETO for `v4.public`.
    const VECTORS_KEY: &str = "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI";
    const PAYLOAD: &str = r#"{"data":"this is a signed message","exp":"2022-01-01T00:00:00+00:00"}"#;
    const FOOTER: &str = r#"{"kid":"zVhMiPBP9fRf2snEcT7gFTioeA9COcNy9DfgL1W60haN"}"#;

    fn key(text: &str) -> TokenPublicKey {
        TokenPublicKey::from_paserk(text).expect("a key")
    }

    fn token(text: &str) -> Token {
        Token::try_from(text).expect("the form of a token")
    }

    /// What `pasetors` says.
    fn passes_there(key: &AsymmetricPublicKey<V4>, token: &Token) -> bool {
        PublicToken::verify(key, token, None, None).is_ok()
    }

    #[test]
    fn the_vectors_of_paseto_pass_and_fail_as_they_should() {
        let s_1 = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9bg_\
                   XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQEDA";
        let s_2 = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9v3J\
                   t8mx_TdM2ceTGoqwrh4yDFn0XsHvvV_D0DtwQxVrJEBMl0F2caAdgnpKlt4p7xBnx1HcO-SPo8FPp214HDw.eyJraWQiOiJ6VmhNaVB\
                   CUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9";
        let s_3 = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9NPW\
                   ciuD3d0o5eXJXG5pJy-DiVEoyPYWs1YSTwWHNJq6DZD3je5gf-0M4JR9ipdUSJbIovzmBECeaWmaqcaP0DQ.eyJraWQiOiJ6VmhNaVB\
                   CUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9";
        let key = key(VECTORS_KEY);
        let assertion = |name: &str| format!(r#"{{"test-vector":"{name}"}}"#);
        let cases = [
            ("4-S-1", s_1, "", String::new()),
            ("4-S-2", s_2, FOOTER, String::new()),
            ("4-S-3", s_3, FOOTER, assertion("4-S-3")),
        ];
        for (name, text, footer, assertion) in cases {
            let token = token(text);
            assert!(key.has_signed(&token, assertion.as_bytes()), "{name}");
            assert_eq!((token.untrusted_payload(), token.untrusted_footer()), (PAYLOAD.as_bytes(), footer.as_bytes()));
            assert!(!key.has_signed(&token, b"another assertion"), "{name}");
        }
        let f_1 = "v4.local.vngXfCISbnKgiP6VWGuOSlYrFYU300fy9ijW33rznDYgxHNPwWluAY2Bgb0z54CUs6aYYkIJ-bOOOmJHPuX_34Agt_IPlNdGDpR\
                   dGNnBz2MpWJvB3cttheEc1uyCEYltj7wBQQYX.YXJiaXRyYXJ5LXN0cmluZy10aGF0LWlzbid0LWpzb24";
        assert!(Token::try_from(f_1).is_err(), "4-F-1, a token of another kind");
        let f_2 = "v4.public.eyJpbnZhbGlkIjoidGhpcyBzaG91bGQgbmV2ZXIgZGVjb2RlIn22Sp4gjCaUw0c7EH84ZSm_jN_Qr41MrgLNu5LIBCzUr1pn3Z\
                   -Wukg9h3ceplWigpoHaTLcwxj0NsI1vjTh67YB.eyJraWQiOiJ6VmhNaVBCUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2\
                   MGhhTiJ9";
        assert!(!key.has_signed(&token(f_2), assertion("4-F-2").as_bytes()), "4-F-2, which is for another key");
    }

    /// Signatures that checks of Ed25519 are known to disagree on, by a key of seed 5, 32 times: on its own, and with a point of
    /// order 8 added to it.
    #[test]
    fn what_passes_here_passes_there_also_at_the_edges() {
        let seed_5 = "k4.public.bnoc3Smwt4_ROvTFWY_v9O8qlxZuPKby5Pv8zYBQW_E";
        let seed_5_and_order_8 = "k4.public.XiYz3e1sCDRuC8IVrU5CefqNPQvekRWA3AUB_y9yXOs";
        // The key, the token, whether it passes there and here.
        let cases = [
            (
                "as it should be",
                seed_5,
                "v4.public.eyJuIjowfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sjDf7vs-nyyCSDtgfXKAk4ssqYmtTHr-2iOlF02vDjZgk",
                [true, true],
            ),
            (
                "S beyond the order",
                seed_5,
                "v4.public.eyJuIjowfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sj-tHlEARW23xZU_95BwMXx8qYmtTHr-2iOlF02vDjZhk",
                [false, false],
            ),
            (
                "R with a part of small order",
                seed_5,
                "v4.public.eyJuIjowfRhu0r29Gjb2Q3xRaLAiGRQBjqTzKhw_zRwXlNZPvVluZyLyUPhQos7tSrnWVPuaP4CWq9Qbm9U8BYRte0R7oAM",
                [true, false],
            ),
            (
                "R of small order",
                seed_5,
                "v4.public.eyJuIjowfQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8ADIl7p_BuY5XDiFgnyhIMyM26VTuDnoizyn6W8yAg",
                [false, false],
            ),
            (
                "R of small order in another form",
                seed_5,
                "v4.public.eyJuIjowfe7_______________________________________9_ZO72hE5cxWmRKCuqc59SjHjJlOfoqG4QF-Z3Pe59fwU",
                [false, false],
            ),
            (
                "R and a part of the key of small order",
                seed_5_and_order_8,
                "v4.public.eyJuIjowfccXanA9TdhPujwLdg0QZw8qIFP6LDnMxk7H_XeSrAN6ruFGAOqEFEONUUU00J2gvZbE7C59dG_46gBwTIUemAM",
                [false, false],
            ),
            (
                "a part of the key of small order",
                seed_5_and_order_8,
                "v4.public.eyJuIjoxfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sjxdbRof9aUb_WQ1Ogz2XAuezhON6ly8w8coK2Yq7nLAs",
                [true, false],
            ),
            (
                "and the hash divides by eight",
                seed_5_and_order_8,
                "v4.public.eyJuIjowfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sjEtmJ6jV1z3-0VHu2uXiyCWWYGB9tzb2_M5_1pcMyRQM",
                [true, true],
            ),
        ];
        for (what, key_text, text, passes) in cases {
            let (key, token) = (key(key_text), token(text));
            assert_eq!([passes_there(&key.0, &token), key.has_signed(&token, b"")], passes, "{what}");
        }
    }

    #[test]
    fn a_key_that_anybody_can_sign_for_or_that_has_another_form_is_none() {
        let neutral_point = "k4.public.AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let point_of_order_8 = "k4.public.xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o";
        let for_neutral_point =
            "v4.public.eyJuIjowfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sj6HjcpUhmQFHl5pXYwVe1OKUG-aPdnw6c_tf03mIjggc";
        let for_point_of_order_8 = "v4.public.eyJuIjoxNH2zGyD1BCYkJRTYGzg1SL2Q3nL9C4zyOCqI-fUs5QdrI-h43KVIZkBR5eaV2MFX\
                                    tTilBvmj3Z8OnP7X9N5iI4IH";
        for (key, text) in [(neutral_point, for_neutral_point), (point_of_order_8, for_point_of_order_8)] {
            assert!(TokenPublicKey::from_paserk(key) == Err(KeyInvalid), "{key}");
            let unchecked = AsymmetricPublicKey::try_from(key).expect("the form of a key");
            assert!(!passes_there(&unchecked, &token(text)), "{key}");
            assert!(TokenPublicKey(unchecked).has_signed(&token(text), b""), "AWS-LC does not look: {key}");
        }
        let neutral_point_in_another_form = "k4.public.7v_______________________________________38";
        let large_point_in_another_form = "k4.public.8P_______________________________________38";
        let off_the_curve = "k4.public.AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for key in [neutral_point_in_another_form, large_point_in_another_form, off_the_curve, "k4.public.AAAA"] {
            assert!(TokenPublicKey::from_paserk(key) == Err(KeyInvalid), "{key}");
        }
    }

    #[test]
    fn a_token_with_another_bit_is_judged_as_there() {
        let key = key("k4.public.bnoc3Smwt4_ROvTFWY_v9O8qlxZuPKby5Pv8zYBQW_E");
        let text =
            "v4.public.eyJuIjowfbMbIPUEJiQlFNgbODVIvZDecv0LjPI4Koj59SzlB2sjDf7vs-nyyCSDtgfXKAk4ssqYmtTHr-2iOlF02vDjZgk";
        let encoding = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut judged = 0;
        for (place, letter) in text.char_indices().skip(PublicToken::HEADER.len()) {
            let value = encoding.find(letter).expect("a letter of base64");
            for bit in 0..6 {
                let another = encoding.as_bytes()[value ^ 1 << bit];
                let mut forged = text.as_bytes().to_vec();
                forged[place] = another;
                let Ok(forged) = Token::try_from(std::str::from_utf8(&forged).expect("ASCII")) else { continue };
                assert!(!key.has_signed(&forged, b"") && !passes_there(&key.0, &forged), "bit {bit} of letter {place}");
                judged += 1;
            }
        }
        // The last letter has some bits that nothing is made of.
        assert_eq!(judged, 8 * token(text).untrusted_message().len());
    }
}
