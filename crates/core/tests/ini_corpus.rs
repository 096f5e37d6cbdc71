//! The corpora of the fuzz targets, replayed without a fuzzer.

#[path = "common/ini_entry.rs"]
mod ini_entry;

#[test]
fn the_fuzz_corpus_of_configs_is_read_without_a_panic() {
    assert!(replay("ini", ini_entry::check) >= 20);
}

#[test]
fn the_fuzz_corpus_of_command_lines_is_read_without_a_panic() {
    assert!(replay("line", ini_entry::check_line) >= 8);
}

#[test]
fn the_fuzz_corpus_of_json_yaml_and_xml_is_read_without_a_panic() {
    assert!(replay("carriers", ini_entry::check_carrier) >= 6);
}

fn replay(target: &str, check: impl Fn(&[u8])) -> usize {
    let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(corpus).unwrap();
    files
        .map(|entry| check(&std::fs::read(entry.unwrap().path()).unwrap()))
        .count()
}
