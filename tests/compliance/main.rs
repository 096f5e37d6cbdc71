//! The same scenarios on the original and on ours.

#[path = "../support/mod.rs"]
mod support;

use support::{Original, uwsgi_get};

#[test]
fn the_original_answers() {
    let folder = support::Folder::new();
    folder.write(
        "app.py",
        "def application(e, s):\n    s('200 OK', [])\n    return [b'hello']\n",
    );
    let original = Original::start_in(
        folder,
        "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/app.py\n",
    );
    let socket = original.path("s");
    let reply = original.wait_for("an answer", |_| uwsgi_get(socket.as_path(), "/").ok());
    assert_eq!(reply.text(), "hello");
}
