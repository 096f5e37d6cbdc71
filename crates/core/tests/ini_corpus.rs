//! The fuzz target's corpus, replayed without a fuzzer.

#[path = "common/ini_entry.rs"]
mod ini_entry;

#[test]
fn the_fuzz_corpus_of_configs_is_read_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/ini");
    let mut files = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        ini_entry::check(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 20, "the corpus has {files} files");
}
