//! A certificate that signs itself, as both ends of a test need it.

use gateway_transport::{ServerIdentity, TlsServer, TlsSettings};

pub(crate) struct Certificate {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Certificate {
    pub(crate) fn for_name(name: &str) -> Certificate {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Certificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    pub(crate) fn server(&self, settings: TlsSettings) -> TlsServer {
        let identity = ServerIdentity::from_pem(self.certificate_pem.as_bytes(), self.key_pem.as_bytes());
        TlsServer::with_settings(identity.expect("PEM"), settings).expect("key and certificate belong together")
    }
}
