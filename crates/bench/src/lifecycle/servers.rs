//! Who is measured: ours, and the others with their ways to reload.

use serde::{Serialize, Serializer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    Ours,
    Uwsgi,
    UwsgiLazy,
    UwsgiChain,
    UwsgiEmperor,
    Gunicorn,
    Granian,
}

pub const SERVERS: [Server; 7] = [
    Server::Ours,
    Server::Uwsgi,
    Server::UwsgiLazy,
    Server::UwsgiChain,
    Server::UwsgiEmperor,
    Server::Gunicorn,
    Server::Granian,
];

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Uwsgi => "uwsgi",
            Self::UwsgiLazy => "uwsgi-lazy",
            Self::UwsgiChain => "uwsgi-chain",
            Self::UwsgiEmperor => "uwsgi-emperor",
            Self::Gunicorn => "gunicorn",
            Self::Granian => "granian",
        }
    }

    pub fn reads_ini(self) -> bool {
        match self {
            Self::Ours | Self::Uwsgi | Self::UwsgiLazy | Self::UwsgiChain | Self::UwsgiEmperor => {
                true
            }
            Self::Gunicorn | Self::Granian => false,
        }
    }

    pub fn has_emperor(self) -> bool {
        matches!(self, Self::Ours | Self::UwsgiEmperor)
    }
}

impl Serialize for Server {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
