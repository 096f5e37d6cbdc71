//! The variables of the last packet as they came, one record each: length and name, length and value.
//! Of most of them the next packet has the very same bytes, wherever it has them. Pure.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shape::same;

/// The number of the next new content; 0 is none.
static NEXT: AtomicU64 = AtomicU64::new(1);
/// Longer packets are not kept.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Records {
    text: Vec<u8>,
    all: Vec<Record>,
    /// Of the packet that is being read.
    place: usize,
    start: usize,
    /// So far the packet is the last one.
    repeats: bool,
    number: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) name: u16,
    pub(crate) value: u16,
}

impl Record {
    pub(crate) fn bytes(self) -> usize {
        4 + usize::from(self.name) + usize::from(self.value)
    }
}

impl Records {
    /// A packet begins.
    pub(crate) fn begin(&mut self) {
        (self.place, self.start) = (0, 0);
        self.repeats = true;
    }

    /// The record at this place of the last packet, when `rest` begins with the same bytes.
    #[inline]
    pub(crate) fn repeated(&mut self, rest: &[u8]) -> Option<Record> {
        let record = *self.all.get(self.place)?;
        let end = self.start + record.bytes();
        if !same(rest.get(..record.bytes())?, &self.text[self.start..end]) {
            return None;
        }
        self.start = end;
        self.place += 1;
        Some(record)
    }

    /// The packet has another record here; its name is that of the last packet's, or not.
    pub(crate) fn other(&mut self, same_name: bool) {
        self.repeats = false;
        match self.all.get(self.place) {
            Some(record) if same_name => {
                self.start += record.bytes();
                self.place += 1;
            }
            // Nothing behind it is compared any more.
            Some(_) | None => self.place = self.all.len(),
        }
    }

    /// The packet was read to its end; `all`: each of its records became one variable.
    pub(crate) fn end(&mut self, packet: &[u8], all: impl ExactSizeIterator<Item = Record>) {
        if self.repeats && self.number != 0 && self.place == self.all.len() {
            return;
        }
        self.forget();
        if packet.len() <= MAX_BYTES {
            self.text.extend_from_slice(packet);
            self.all.extend(all);
            self.number = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.text.clear();
        self.all.clear();
        (self.place, self.start) = (0, 0);
        self.number = 0;
    }

    /// Packets of the same number have the same names and values; 0: who knows.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}
