//! Any bytes into the packet decoder: no panic, and what decodes whole encodes to the same bytes.
//! The corpus beside it is replayed by an ordinary test in `src/packet.rs`.

#![no_main]

use imperator_core::packet::{HEADER_BYTES, Header, MAX_BLOCK, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return;
    };
    let header = Header::from_bytes(*header);
    let _ = header.check(MAX_BLOCK);
    let Some(block) = rest.get(..header.size.into()) else {
        return;
    };
    let Ok(vars) = decode(block).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut again = Vec::new();
    let pairs = vars.iter().map(|var| (var.key.of(block), var.value.of(block)));
    encode(header.modifier1, pairs, &mut again).expect("it came from a packet");
    assert_eq!(again[HEADER_BYTES..], *block);
});
