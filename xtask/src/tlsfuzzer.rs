//! `cargo xtask tlsfuzzer CLONE`: the scripts of tlsfuzzer (github.com/tlsfuzzer/tlsfuzzer, of which CLONE is a clone; it
//! is not packaged) that apply to a server of TLS 1.3 with two suites, against the example `echo` of `gateway/transport`.
//!
//! What a script finds is well, or named in the table with the reason why it may differ.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{Outcome, process, repo};

/// What the scripts import, from PyPI.
const PYTHON_PACKAGES: [&str; 2] = ["tlslite-ng==0.9.0b2", "kyber-py==1.2.0"];
const WITH_ALPN: &str = include_str!("tlsfuzzer/with_alpn.py");

/// One script.
struct Script {
    name: &'static str,
    /// Parts of the names of cases that it may find wrong.
    differs: &'static [(&'static str, &'static str)],
}

const fn script(name: &'static str) -> Script {
    Script { name, differs: &[] }
}

const NO_GROUP: &str = "a group that is not offered";
const NO_SUITE: &str = "a suite that is not offered";
const BOUND: &str = "a hello that is larger than we take";
const NO_TICKET: &str = "a client that cannot use a ticket as we give it gets none";
const LIBRARY: &str = "the handshake is the library's, which says another alert or is content";

const SCRIPTS: &[Script] = &[
    script("conversation"),
    script("ccs"),
    Script { name: "connection-abort", differs: &[("After NewSessionTicket", NO_TICKET)] },
    Script { name: "crfg-curves", differs: &[("x448", NO_GROUP), ("empty x25519 key share", LIBRARY)] },
    Script { name: "ecdhe-curves", differs: &[("secp521r1", NO_GROUP), ("x448", NO_GROUP)] },
    Script { name: "empty-alert", differs: &[("using handshake keys", LIBRARY)] },
    Script { name: "finished-plaintext", differs: &[("Unencrypted Finished", LIBRARY)] },
    Script {
        name: "finished",
        differs: &[("TLS_AES_256_GCM_SHA384", NO_SUITE), ("padding - ", LIBRARY), ("truncation - ", LIBRARY)],
    },
    script("hrr"),
    script("invalid-ciphers"),
    Script { name: "keyshare-omitted", differs: &[("key_share extension omitted", LIBRARY)] },
    script("keyupdate"),
    Script { name: "mlkem", differs: &[("secp256r1mlkem768", NO_GROUP), ("secp384r1mlkem1024", NO_GROUP)] },
    script("no-unknown-groups"),
    script("nociphers"),
    Script {
        name: "record-layer-limits",
        differs: &[("ClientHello msg", BOUND), ("too big Finished", LIBRARY), ("payload (2**14) of Finished", LIBRARY)],
    },
    script("record-padding"),
    Script { name: "session-resumption", differs: &[("TLS 1.2", "it is off"), ("PSK_ONLY", NO_TICKET)] },
    Script { name: "symetric-ciphers", differs: &[("AES_128_CCM", NO_SUITE), ("AES_256_GCM", NO_SUITE)] },
    script("unencrypted-alert"),
    Script { name: "zero-content-type", differs: &[("during handshake", LIBRARY)] },
    Script { name: "zero-length-data", differs: &[("interleaved in handshake", LIBRARY)] },
];

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    let [clone] = arguments else { bail!("usage: cargo xtask tlsfuzzer CLONE") };
    let clone = fs::canonicalize(clone).with_context(|| format!("there is no {clone}"))?;
    let python = python()?;
    let server = Server::start()?;
    let mut outcome = Outcome::Clean;
    for script in SCRIPTS {
        let output = Command::new(&python)
            .args(["-c", WITH_ALPN])
            .arg(&clone)
            .arg(format!("test-tls13-{}.py", script.name))
            .args(["-h", "127.0.0.1", "-p", &server.port])
            .output()
            .context("cannot start Python")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = wrong(&text).filter(|case| !script.differs.iter().any(|(part, _)| case.contains(part)));
        let found: Vec<&str> = found.collect();
        let counts: Vec<&str> =
            text.lines().filter(|line| ["PASS:", "FAIL:"].iter().any(|c| line.starts_with(c))).collect();
        println!("tlsfuzzer: {:<24} {}", script.name, counts.join(", "));
        if counts.is_empty() || !found.is_empty() {
            eprint!("{text}{}", String::from_utf8_lossy(&output.stderr));
            eprintln!("tlsfuzzer: {} is wrong about {}", script.name, found.join(", "));
            outcome = Outcome::Broken;
        }
    }
    Ok(outcome)
}

/// The cases at the end of what a script says.
fn wrong(text: &str) -> impl Iterator<Item = &str> {
    let list = text.lines().skip_while(|line| *line != "FAILED:").skip(1);
    list.map_while(|line| line.strip_prefix('\t'))
}

/// Of an environment of our own in the build folder.
fn python() -> Result<PathBuf> {
    let venv = repo::target().join("tlsfuzzer-venv");
    let python = venv.join("bin/python");
    process::output_of(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES);
    process::output_of(&mut pip)?;
    Ok(python)
}

/// The example, killed when it is dropped.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    /// With a certificate of RSA: some scripts know no other.
    fn start() -> Result<Server> {
        let folder = repo::target().join("tlsfuzzer");
        fs::create_dir_all(&folder)?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        make_certificate(&certificate, &key)?;
        let mut cargo = Command::new("cargo");
        cargo.current_dir(repo::root()).args([
            "build",
            "--quiet",
            "--package",
            "gateway-transport",
            "--example",
            "echo",
        ]);
        process::output_of(process::without_our_package(&mut cargo))?;
        let mut echo = Command::new(repo::target().join("debug/examples/echo"));
        let mut child = echo.args([certificate, key]).stdout(Stdio::piped()).spawn().context("cannot start `echo`")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let mut server = Server { child, port: String::new() };
        server.port =
            line.trim().rsplit(':').next().filter(|port| !port.is_empty()).context("it has ended")?.to_owned();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_certificate(certificate: &Path, key: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "30"]);
    process::output_of(openssl.arg("-out").arg(certificate).arg("-keyout").arg(key))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_found_wrong_is_read_from_its_end() {
        let text = "sanity ...\nOK\n\nTOTAL: 3\nPASS: 1\nFAIL: 2\n====\nFAILED:\n\t'one'\n\t'two, with a comma'\n";
        assert_eq!(wrong(text).collect::<Vec<_>>(), ["'one'", "'two, with a comma'"]);
        assert_eq!(wrong("TOTAL: 3\nPASS: 3\nFAIL: 0\n====\n").count(), 0);
    }
}
