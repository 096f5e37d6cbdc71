//! `crates/cli/dist/debian.ini`: the apps of Debian's apps-enabled serve as its init script has them.

use std::os::unix::fs::MetadataExt;

use crate::support::{Empire, Folder, repository, skips_without, uwsgi_get};

#[test]
fn apps_of_apps_enabled_get_their_socket_their_user_and_their_log() {
    if skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = Folder::new();
    let text = std::fs::read_to_string(repository().join("crates/cli/dist/debian.ini"));
    let text = text
        .expect("debian.ini")
        .replace("/etc/uwsgi/", "{dir}/")
        .replace("/run/uwsgi/", "{dir}/uwsgi/")
        .replace("/var/log/uwsgi/", "{dir}/log/");
    folder.write("debian.ini", &text);
    for directory in ["uwsgi", "log/app"] {
        std::fs::create_dir_all(folder.join(directory)).expect("a directory");
    }
    folder.write(
        "blog.py",
        "import os\n\
         print('blog is loaded')\n\
         def application(environ, start_response):\n    \
             start_response('200 OK', [])\n    \
             return [str(os.getuid()).encode()]\n",
    );
    folder.write(
        "apps-enabled/blog.ini",
        "[uwsgi]\nchdir = {dir}\nmodule = blog\npython = /usr/bin/python3\n",
    );
    let empire = Empire::start_with(folder, &[], &["{dir}/debian.ini"]);
    let socket = empire.path("uwsgi/app/blog/socket");
    let answer = empire.wait_for("blog serves", |_| uwsgi_get(&*socket, "/").ok());
    assert_eq!(answer.text(), "33", "as www-data");
    let socket = std::fs::metadata(&socket).expect("the socket");
    assert_eq!((socket.uid(), socket.mode() & 0o777), (33, 0o660));
    empire.wait_for("both workers", |empire| {
        let status = empire.app("blog");
        (status["status"]["workers"].as_array()?.len() == 2).then_some(())
    });
    empire.wait_for("its log", |empire| {
        let log = empire.folder.read("log/app/blog.log");
        log.contains("blog is loaded").then_some(())
    });
}
