//! `wsgi.file_wrapper`: the same bytes whether they are sent by the kernel or read.

use super::harness::on_each_over_both;

#[test]
fn a_file_is_sent_from_its_position_and_closed() {
    on_each_over_both("", |served, protocol| {
        served.app.folder.write("data", "0123456789 a small file");
        for (kind, expected) in [
            ("plain", "0123456789 a small file"),
            ("raw", "0123456789 a small file"),
            ("seek", "3456789 a small file"),
            ("short", "0123"),
            ("bytesio", "in memory"),
            ("subclass", "0123456789 A SMALL FILE"),
            ("pipe", "from a pipe"),
        ] {
            let uri = format!("/file?{kind}");
            assert_eq!(
                served.text(protocol, &uri),
                expected,
                "{kind} over {protocol:?}"
            );
            let head = served.ask(protocol, "HEAD", &uri, &[], b"");
            assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {kind}");
        }
        served.assert_500(protocol, "/file?text", "must yield bytes, not");
        served.assert_500(protocol, "/file?closed", "ValueError");
        let closed = served.text(protocol, "/files-closed");
        assert!(closed.starts_with("0 of "), "{closed}");
    });
}

#[test]
fn a_large_file_arrives_whole() {
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 251 + n) as u8).collect();
    on_each_over_both("", |served, protocol| {
        served.app.folder.write_bytes("data", &large);
        let reply = served.get(protocol, "/file?plain");
        assert!(
            reply.complete && reply.body == large,
            "{} bytes",
            reply.body.len()
        );
        served.app.folder.write_bytes("data", b"");
        assert_eq!(served.text(protocol, "/file?plain"), "");
    });
}
