//! Sockets while options are applied: what only the whole config can decide is the protocol of
//! plain `socket`s, what `=0` means, and whether Unix sockets are abstract.

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
    pub(super) protocol: Protocol,
}

/// How a socket is named.
#[derive(Debug)]
pub(super) enum Named {
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

impl Listens {
    pub(super) fn add(
        &mut self,
        protocol: Option<Protocol>,
        named: Named,
        tls: Option<Tls>,
        place: Place,
    ) {
        self.sockets.push((protocol, named, tls, place));
    }

    pub(super) fn has(&self, address: &Address) -> bool {
        let is_it = |named: &Named| matches!(named, Named::Address(it) if it == address);
        self.sockets.iter().any(|(_, named, ..)| is_it(named))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn share(&mut self, address: Address, place: Place) {
        self.shared.push((address, place));
    }

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
                        let place = place.known();
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
            let place = place.known();
            findings.push(Finding::warning(place, text).with_hint(hint));
        }
        listens
    }
}
