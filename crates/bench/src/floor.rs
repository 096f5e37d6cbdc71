//! The floor of the comparison: accept, receive, send, close. No server can be cheaper on this kernel,
//! and this one knows no protocol, no app and no limit.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context;

/// What the benchmark app answers to `hello`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n\
                        Hello, Emperor!\n";

/// Answers until it is killed.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(socket: &Path) -> Result<(), anyhow::Error> {
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
    let mut buffer = vec![0; 20 * 1024];
    loop {
        let Ok((mut connection, _)) = listener.accept() else {
            continue;
        };
        // A client that is gone is no reason to end.
        if connection.read(&mut buffer).is_ok_and(|read| read > 0) {
            let _ = connection.write_all(ANSWER);
        }
    }
}
