//! The hybrid key exchange, with a peer whose ML-KEM is another's, and with peers that have none.

#[path = "support/certificate.rs"]
mod certificate;
#[path = "support/rustls_client.rs"]
mod rustls_client;
#[path = "support/rustls_handshake.rs"]
mod rustls_handshake;

use gateway_transport::{KeyExchange, TlsClient, TlsError, TlsServer, TlsSettings};
use ml_kem::kem::FromSeed;
use ml_kem::{Ciphertext, Decapsulate, KeyExport, MlKem768};
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::{ClientConnection, Error, NamedGroup};

use certificate::Certificate;
use rustls_handshake::shake_hands;

const ILLEGAL_PARAMETER: u8 = 47;

/// The group again, of other parts, and in the hands of a client that may spoil its share.
#[derive(Clone, Copy, Debug)]
struct AnothersGroup {
    spoil: fn(&mut Vec<u8>),
}

struct Started {
    classical: Box<dyn ActiveKeyExchange>,
    post_quantum: ml_kem::DecapsulationKey<MlKem768>,
    share: Vec<u8>,
}

impl SupportedKxGroup for AnothersGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = kx_group::X25519.start()?;
        let (private, public) = MlKem768::from_seed(&[7; 64].into());
        let mut share = [&public.to_bytes()[..], classical.pub_key()].concat();
        (self.spoil)(&mut share);
        Ok(Box::new(Started { classical, post_quantum: private, share }))
    }

    fn ffdhe_group(&self) -> Option<rustls::ffdhe_groups::FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, classical) = share.split_at(1088);
        let ciphertext = Ciphertext::<MlKem768>::try_from(ciphertext).expect("1,088 bytes");
        let secret = self.post_quantum.decapsulate(&ciphertext);
        let classical = self.classical.complete(classical)?;
        Ok(SharedSecret::from([&secret[..], classical.secret_bytes()].concat()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

fn client_with(certificate: &Certificate, groups: Vec<&'static dyn SupportedKxGroup>) -> ClientConnection {
    let mut provider = default_provider();
    provider.kx_groups = groups;
    rustls_client::connect(rustls_client::config(&certificate.certificate_pem, provider, &[b"ringpost/1"]))
}

fn server(certificate: &Certificate, key_exchange: KeyExchange) -> TlsServer {
    certificate.server(TlsSettings { key_exchange, ..TlsSettings::default() })
}

fn agreed(client: &ClientConnection) -> Option<NamedGroup> {
    client.negotiated_key_exchange_group().map(|group| group.name())
}

#[test]
fn two_implementations_agree_on_a_secret() {
    let certificate = Certificate::for_name("localhost");
    for _ in 0..10 {
        let mut client = client_with(&certificate, vec![&AnothersGroup { spoil: |_| {} }]);
        let mut server = server(&certificate, KeyExchange::Hybrid).accept();
        assert_eq!(shake_hands(&mut client, &mut server), Ok(()));
        assert!(server.is_established());
        assert_eq!(agreed(&client), Some(NamedGroup::X25519MLKEM768));
    }
}

#[test]
fn who_has_the_hybrid_uses_it_unless_the_server_is_classical_or_the_client_lacks_it() {
    let certificate = Certificate::for_name("localhost");
    let (hybrid, classical) = (&AnothersGroup { spoil: |_| {} }, kx_group::X25519);
    let cases: [(KeyExchange, Vec<&'static dyn SupportedKxGroup>, NamedGroup); 4] = [
        (KeyExchange::Hybrid, vec![hybrid, classical], NamedGroup::X25519MLKEM768),
        (KeyExchange::Hybrid, vec![classical], NamedGroup::X25519),
        (KeyExchange::Classical, vec![hybrid, classical], NamedGroup::X25519),
        (KeyExchange::Classical, vec![classical], NamedGroup::X25519),
    ];
    for (key_exchange, groups, group) in cases {
        let mut client = client_with(&certificate, groups);
        assert_eq!(shake_hands(&mut client, &mut server(&certificate, key_exchange).accept()), Ok(()));
        assert_eq!(agreed(&client), Some(group), "{key_exchange:?}");
    }
}

#[test]
fn our_client_needs_one_round_with_either_server() {
    let certificate = Certificate::for_name("localhost");
    let client = TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM");
    for key_exchange in KeyExchange::ALL {
        let (mut client, mut server) =
            (client.connect("localhost").expect("a name"), server(&certificate, key_exchange).accept());
        let (mut hello, mut answer) = (Vec::new(), Vec::new());
        client.take_outgoing(&mut hello);
        server.receive(&hello, &mut Vec::new()).expect("a good client");
        server.take_outgoing(&mut answer);
        client.receive(&answer, &mut Vec::new()).expect("a good server");
        assert!(client.is_established(), "{key_exchange:?}");
    }
}

#[test]
fn a_share_that_is_none_is_refused() {
    let certificate = Certificate::for_name("localhost");
    let cases: [(&str, AnothersGroup); 4] = [
        ("a coefficient beyond the modulus", AnothersGroup { spoil: |share| share[..3].fill(0xff) }),
        ("a byte too few", AnothersGroup { spoil: |share| share.truncate(share.len() - 1) }),
        ("a byte too many", AnothersGroup { spoil: |share| share.push(0) }),
        ("a point that gives nothing away", AnothersGroup { spoil: |share| share[1184..].fill(0) }),
    ];
    for (what, group) in cases {
        let mut client = client_with(&certificate, vec![Box::leak(Box::new(group))]);
        let refused = shake_hands(&mut client, &mut server(&certificate, KeyExchange::Hybrid).accept());
        let (error, said) = refused.expect_err(what);
        assert_eq!((error, said.last()), (TlsError::Misbehaved, Some(&ILLEGAL_PARAMETER)), "{what}");
    }
}
