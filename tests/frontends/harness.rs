//! The counters of the guarantee tests count: a server that loses requests on purpose is seen.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::guarantees::Browsers;
use super::sites::uwsgi_pass;
use super::support::{Address, Folder, Load, Nginx, background, require, skips_without};

/// Answers on the socket `s`, but every 50th connection is closed without an answer. Tells how
/// many were.
fn lossy_server(folder: &Folder) -> Arc<AtomicU64> {
    let listener = UnixListener::bind(folder.join("s")).expect("a socket");
    let lost = Arc::new(AtomicU64::new(0));
    let count = lost.clone();
    background(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let Ok(mut connection) = connection else {
                return;
            };
            let mut head = [0; 4];
            if connection.read_exact(&mut head).is_err() {
                continue;
            }
            let mut vars = vec![0; usize::from(u16::from_le_bytes([head[1], head[2]]))];
            let _ = connection.read_exact(&mut vars);
            if number % 50 == 49 {
                count.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    lost
}

#[test]
fn the_load_counts_every_lost_request() {
    let folder = Folder::new();
    let lost = lossy_server(&folder);
    let load = Load::uwsgi(folder.join("s"), 4, "/");
    load.wait_for_more(500);
    let tally = load.stop();
    assert_eq!(tally.failures(), lost.load(Ordering::SeqCst), "{tally:?}");
    assert!(tally.failures() >= 10, "{tally:?}");
    let gone = Load::uwsgi(folder.join("nobody"), 1, "/");
    super::support::wait_for("a refusal", String::new, || {
        (gone.refused() > 0).then_some(())
    });
    assert_eq!(gone.stop().failures(), 0);
}

#[test]
fn wrk_and_nginx_count_every_lost_request() {
    let there = Nginx::is_installed() && require("wrk").is_some();
    if skips_without("nginx or wrk", there) {
        return;
    }
    let folder = Folder::new();
    let lost = lossy_server(&folder);
    let nginx = Nginx::start(&folder, &uwsgi_pass(&Address::Unix(folder.join("s"))));
    let browsers = Browsers::start(&nginx);
    super::support::wait_for(
        "losses",
        || nginx.report(),
        || (lost.load(Ordering::SeqCst) > 20).then_some(()),
    );
    let counted = browsers.stop();
    // Those that ran when wrk was told to stop are nobody's.
    let lost = lost.load(Ordering::SeqCst);
    assert!(
        counted.non_2xx > 0 && counted.non_2xx <= lost,
        "{lost} lost, {}",
        counted.text
    );
    assert!(
        counted.non_2xx + 16 >= lost,
        "{lost} lost, {}",
        counted.text
    );
    assert!(counted.requests > 1000, "{}", counted.text);
}
