//! HTTPS: the original's router process, and workers of ours that speak TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::pair::{self, Facts, Server, compare_runs};
use super::support::{Folder, Reply, free_port};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("https", "https_is_http_inside_tls"),
    ("https2", "https_is_http_inside_tls"),
    ("https-socket", "https_sockets_of_ours_are_one_kind"),
];

/// Writes `cert.pem` and `key.pem`; what a client of them needs.
fn certificate(folder: &Folder) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["app.test".to_owned()]).expect("a key");
    folder.write("cert.pem", &made.cert.pem());
    folder.write("key.pem", &made.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    let pem = made.cert.pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// The answer to a GET without keep-alive; `None`: nobody answers yet.
fn get(config: &Arc<ClientConfig>, port: u16, uri: &str) -> Option<Reply> {
    let name = ServerName::try_from("app.test").expect("a name");
    let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let tcp = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut stream = StreamOwned::new(tls, tcp);
    let request = format!("GET {uri} HTTP/1.0\r\nHost: app.test\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    // The original ends without a word of TLS's own.
    let _ = stream.read_to_end(&mut bytes);
    let reply = Reply::parse(&bytes);
    (reply.status != 0).then_some(reply)
}

fn facts_of(which: pair::Which, line: &str) -> Facts {
    let folder = pair::folder();
    let config = certificate(&folder);
    let port = free_port();
    let line = line.replace("{port}", &port.to_string());
    let ini = format!("[uwsgi]\nplugins = http\nwsgi-file = {{dir}}/facts.py\n{line}\n");
    let server = Server::start_in(which, folder, &ini);
    let reply = server.wait_for("an answer inside TLS", |_| {
        get(&config, port, "/environ/a?b=c")
    });
    let environ = &reply.json()["environ"];
    let mut facts = Facts::default();
    facts.note("status", reply.status);
    for name in [
        "HTTPS",
        "HTTP_HOST",
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REQUEST_METHOD",
        "SERVER_PROTOCOL",
        "wsgi.url_scheme",
    ] {
        facts.note(name, &environ[name]);
    }
    let line_port = port.to_string();
    facts.note("SERVER_PORT", environ["SERVER_PORT"] == line_port.as_str());
    facts
}

#[test]
fn https_is_http_inside_tls() {
    for line in [
        "https = 127.0.0.1:{port},{dir}/cert.pem,{dir}/key.pem",
        "https = 127.0.0.1:{port},{dir}/cert.pem,{dir}/key.pem,HIGH",
        "https2 = addr=127.0.0.1:{port},cert={dir}/cert.pem,key={dir}/key.pem",
        "shared-socket = 127.0.0.1:{port}\nhttps = =0,{dir}/cert.pem,{dir}/key.pem",
    ] {
        compare_runs(&[], |which| facts_of(which, line));
    }
}

/// Debian's original is built without it.
#[test]
fn https_sockets_of_ours_are_one_kind() {
    let line = "https-socket = 127.0.0.1:{port},{dir}/cert.pem,{dir}/key.pem";
    facts_of(pair::Which::Ours, line);
}
