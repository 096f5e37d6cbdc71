//! Certificates and keys of HTTPS sockets: read with the master's rights, as a key is root's alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use imperator_core::message::{Failure, Pem};
use imperator_core::settings::{Listen, Settings};
use imperator_core::why::{CauseId, by_errno};

use crate::failure;

/// A longer file is no certificate; and all of them stand in one message to each worker.
const MAX_BYTES: u64 = 32 * 1024;

/// Beside `settings.listens`; empty when none speaks TLS.
///
/// # Errors
/// The first file that cannot be read.
pub(crate) fn read(settings: &Settings, cwd: &Path) -> Result<Vec<Option<Pem>>, Failure> {
    if settings.listens.iter().all(|listen| listen.tls.is_none()) {
        return Ok(Vec::new());
    }
    let of = |listen: &Listen| {
        let Some(tls) = &listen.tls else {
            return Ok(None);
        };
        let file = |path: &Path| {
            file(&cwd.join(path)).map_err(|error| {
                let text = format!("{}: cannot read {}: {error}", listen.place, path.display());
                let hint = "https = address,certificate.pem,key.pem; both in PEM form";
                let cause = error.raw_os_error().and_then(by_errno);
                failure::plain(text, Some(hint.to_owned()))
                    .of(cause.unwrap_or(CauseId::ConfigError))
                    .with("path", cwd.join(path).display().to_string())
            })
        };
        Ok(Some(Pem {
            certificate: file(&tls.certificate)?,
            key: file(&tls.key)?,
        }))
    };
    settings.listens.iter().map(of).collect()
}

fn file(path: &Path) -> io::Result<String> {
    // A FIFO would block the master.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it is longer than {MAX_BYTES} bytes"
        )));
    }
    Ok(text)
}
