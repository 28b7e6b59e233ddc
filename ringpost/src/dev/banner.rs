//! What `dev` says on standard output: what runs where, and what to type next.

use std::io::Write;
use std::net::SocketAddr;

use gateway_server::DriverPick;

use crate::binary;
use crate::command_line::DEFAULT_DATA_DIR;
use crate::data_dir::DataDir;

pub(super) struct Addresses {
    pub(super) native: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
}

pub(super) fn print(data_dir: &DataDir, addresses: &Addresses, driver: &DriverPick) {
    let binary = binary::path();
    let folder = data_dir.path();
    let flag = match folder.to_str() {
        Some(DEFAULT_DATA_DIR) => String::new(),
        _ => format!(" --data-dir {}", binary::quoted(&folder.display().to_string())),
    };
    let Addresses { native, http, admin } = addresses;
    let text = format!(
        "Ringpost is ready.

  native clients   {native}   TLS 1.3, certificate in {certificate}
  HTTP             http://{http}   nothing is served there yet
  admin            http://{admin}/metrics   also /healthz and /readyz
  data             {folder}
  {driver}

In two more terminals:

  {binary} chat --as alice --to bob{flag}
  {binary} chat --as bob --to alice{flag}

Ctrl-C drains and ends.
",
        certificate = folder.join("certificate.pem").display(),
        folder = folder.display(),
    );
    let mut out = std::io::stdout();
    // A closed standard output is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
