//! Sockets while options are applied: what only the whole config can decide is the protocol of
//! plain `socket`s, what `=0` means, and whether Unix sockets are abstract.

use super::{Draft, Given, Invalid, values};
use crate::address::Address;
use crate::finding::{Finding, Place};
use crate::settings::tls::Tls;
use crate::settings::{Listen, Protocol};

#[derive(Debug)]
pub(super) struct Listens {
    /// `None`: the protocol that `protocol` names, whenever it comes.
    sockets: Vec<(Option<Protocol>, Named, Option<Tls>, Place)>,
    shared: Vec<(Address, Place)>,
    pub(super) are_abstract: bool,
    protocol: Protocol,
}

/// How a socket is named.
#[derive(Debug)]
enum Named {
    Address(Address),
    /// `=N`: the shared socket of this number.
    Shared(usize),
}

impl Default for Listens {
    fn default() -> Self {
        Self {
            sockets: Vec::new(),
            shared: Vec::new(),
            are_abstract: false,
            protocol: Protocol::Uwsgi,
        }
    }
}

impl Draft {
    pub(super) fn listen(
        &mut self,
        protocol: Option<Protocol>,
        given: &Given<'_>,
    ) -> Result<(), Invalid> {
        self.add_socket(protocol, None, given)
    }

    /// `address,certificate,key[,ciphers[,ca]]`, or the same with names in front (`https2`).
    pub(super) fn listen_tls(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        const FORM: &str = "write address,certificate.pem,key.pem";
        let part = |index: usize, name: &str| {
            let named = given.text.contains("addr=");
            let mut parts = given.text.split(',');
            let part = match named {
                true => parts.find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')),
                false => parts.nth(index),
            };
            part.filter(|part| !part.is_empty())
        };
        let (Some(text), Some(certificate), Some(key)) =
            (part(0, "addr"), part(1, "cert"), part(2, "key"))
        else {
            let text = format!("\"{}\" names no address, certificate and key", given.text);
            return Err(Invalid::with_hint(text, FORM));
        };
        if part(4, "ca").is_some() {
            return Err(Invalid::with_hint(
                "certificates of clients cannot be asked for yet",
                "let nginx or Apache check them in front, and listen with http-socket here",
            ));
        }
        if part(3, "ciphers").is_some() {
            self.warn(
                "ignores its ciphers: TLS 1.2 and 1.3 are spoken, with safe ones only",
                Some("remove them".to_owned()),
            );
        }
        let tls = Tls {
            certificate: certificate.into(),
            key: key.into(),
        };
        self.add_socket(Some(Protocol::Http), Some(tls), &Given { text, ..*given })
    }

    fn add_socket(
        &mut self,
        protocol: Option<Protocol>,
        tls: Option<Tls>,
        given: &Given<'_>,
    ) -> Result<(), Invalid> {
        let named = match given.text.strip_prefix('=') {
            Some(number) => {
                let text = number;
                let number = self.number(&Given { text, ..*given })?;
                Named::Shared(usize::try_from(number).unwrap_or(usize::MAX))
            }
            None => Named::Address(self.address(given)?),
        };
        let place = given.place.clone();
        self.listens.sockets.push((protocol, named, tls, place));
        Ok(())
    }

    pub(super) fn share(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        let address = self.address(given)?;
        self.listens.shared.push((address, given.place.clone()));
        Ok(())
    }

    fn address(&mut self, given: &Given<'_>) -> Result<Address, Invalid> {
        match values::address_before_text(given.text) {
            Some(before) => {
                let text = format!("reads only \"{before}\" of \"{}\"", given.text);
                self.warn(text, Some(format!("write {before}")));
                values::address(before)
            }
            None => values::address(given.text).or_else(|invalid| {
                let host = values::host_without_port(given.text).ok_or(invalid)?;
                let text = format!(
                    "names no port in \"{}\", so the kernel picks one",
                    given.text
                );
                self.warn(
                    text,
                    Some(format!("write {host}:8000, or set the variable")),
                );
                values::address(&format!("{host}:0"))
            }),
        }
    }

    pub(super) fn protocol(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        self.listens.protocol = match given.text {
            "uwsgi" => Protocol::Uwsgi,
            "http" => Protocol::Http,
            "http11" => {
                let text = "1";
                self.http_keepalive(&Given { text, ..*given })?;
                Protocol::Http
            }
            other => {
                return Err(Invalid::with_hint(
                    format!("\"{other}\" is not spoken here"),
                    "write uwsgi or http",
                ));
            }
        };
        Ok(())
    }
}

impl Listens {
    pub(super) fn finish(self, findings: &mut Vec<Finding>) -> Vec<Listen> {
        let mut used = vec![false; self.shared.len()];
        let mut listens = Vec::new();
        for (protocol, named, tls, place) in self.sockets {
            let address = match named {
                Named::Address(address) => address,
                Named::Shared(number) => match self.shared.get(number) {
                    Some((address, _)) => {
                        used[number] = true;
                        address.clone()
                    }
                    None => {
                        let text = format!("there is no shared-socket number {number}");
                        let hint = "shared-socket lines count from 0; or name the address here";
                        let place = super::draft::known(&place);
                        findings.push(Finding::error(place, text).with_hint(hint));
                        continue;
                    }
                },
            };
            listens.push(Listen {
                protocol: protocol.unwrap_or(self.protocol),
                address: match address {
                    Address::Unix(path) if self.are_abstract => {
                        Address::Abstract(path.to_string_lossy().into_owned())
                    }
                    Address::Unix(_) | Address::Abstract(_) | Address::Tcp(_) => address,
                },
                tls,
                place,
            });
        }
        let unused = self.shared.iter().zip(used).filter(|(_, used)| !used);
        for (number, ((address, place), _)) in unused.enumerate() {
            let text = format!("nothing listens on shared-socket {address}");
            let hint =
                format!("write socket = ={number}, http-socket = ={number} or http = ={number}");
            let place = super::draft::known(place);
            findings.push(Finding::warning(place, text).with_hint(hint));
        }
        listens
    }
}
