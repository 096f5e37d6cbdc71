//! The layout of a worker's counters: 64-bit words in shared memory (a sealed memfd).
//!
//! The worker writes, master and `status` read without asking it. Readers treat every word as
//! untrusted: nothing here is a pointer or a length that is obeyed unchecked.

use std::sync::atomic::{AtomicU64, Ordering};

/// The first word. A reader of another layout leaves the memory alone.
pub const LAYOUT: u64 = 0x696d_7065_7261_0001;

/// Words before the first core's record.
pub const HEADER_WORDS: usize = 32;
/// Words of one core's (thread's) record.
pub const CORE_WORDS: usize = 64;
/// Bytes of the request line that a record keeps.
pub const LINE_BYTES: usize = (CORE_WORDS - 16) * 8;
/// More threads than this in one worker are refused with the config.
pub const MAX_CORES: usize = 4096;

/// Words for a worker with `cores` threads.
pub const fn words(cores: usize) -> usize {
    HEADER_WORDS + cores * CORE_WORDS
}

/// A word of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Worker {
    Layout = 0,
    Cores = 1,
    /// 1 while it accepts.
    Accepting = 2,
    Requests = 3,
    /// Exceptions of the app that reached the server.
    Exceptions = 4,
    /// Bytes sent, heads included.
    TxBytes = 5,
    /// Sum of all requests' durations, in microseconds.
    RunningMicros = 6,
    /// CLOCK_MONOTONIC milliseconds of the I/O thread's last turn.
    HeartbeatMillis = 7,
    /// CLOCK_MONOTONIC milliseconds when the last request ended.
    LastRequestMillis = 8,
    /// Request-log lines that did not fit the pipe.
    LogLinesDropped = 9,
    /// Requests refused with a 4xx of ours: malformed, too big, foreign modifier.
    Refused = 10,
    /// The original's loader variables that were ignored (`UWSGI_FILE`, …).
    LoaderVars = 11,
    /// Average response time as the original computes it: (avg + last) / 2, in microseconds.
    AvgMicros = 12,
    /// Connections parked with the I/O thread now.
    Parked = 13,
    /// CLOCK_MONOTONIC milliseconds since which the interpreter's lock is waited for; 0: nobody waits.
    GilAskedMillis = 14,
    /// 1: it drains, and nothing is left in it but requests past their deadline.
    Spent = 15,
    /// CLOCK_MONOTONIC milliseconds at which the current window of requests began; 0: never.
    WindowMillis = 16,
    /// Requests before that window.
    WindowRequests = 17,
    /// Requests in a second, in thousandths, over the window before it.
    WindowRate = 18,
    /// CLOCK_MONOTONIC milliseconds when it could not accept for want of a descriptor or of memory.
    ShortageMillis = 19,
}

/// A word of a core's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Core {
    /// CLOCK_MONOTONIC milliseconds at which the running request started; 0 when idle.
    StartMillis = 0,
    Requests = 1,
    Exceptions = 2,
    WriteErrors = 3,
    ReadErrors = 4,
    StaticRequests = 5,
    /// Bytes of the request line that follow at word 16.
    LineBytes = 6,
    /// Unix seconds at which the running request started.
    StartEpoch = 7,
    /// The thread's Linux id.
    Tid = 8,
    /// [`Core::StartMillis`] of the last request here that ran past its deadline: while both are
    /// the same, it still runs.
    OverdueMillis = 9,
}

/// So long requests are counted for their rate.
const WINDOW_MILLIS: u64 = 5000;

/// In thousandths.
fn per_second(requests: u64, millis: u64) -> u64 {
    requests.saturating_mul(1_000_000) / millis.max(1)
}

/// A view of one worker's counters. `words` must be at least [`words`]`(cores)` long.
#[derive(Clone, Copy)]
pub struct Counters<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Counters<'a> {
    /// Writes the header of fresh memory.
    pub fn init(words: &'a [AtomicU64], cores: usize) -> Self {
        words[Worker::Cores as usize].store(cores as u64, Ordering::Relaxed);
        words[Worker::Layout as usize].store(LAYOUT, Ordering::Release);
        Self { words }
    }

    /// `None`: another layout, or memory that is too short for what it claims.
    pub fn open(words: &'a [AtomicU64]) -> Option<Self> {
        let layout = words.first()?.load(Ordering::Acquire);
        let cores = words.get(Worker::Cores as usize)?.load(Ordering::Relaxed);
        let cores = usize::try_from(cores)
            .ok()
            .filter(|&cores| cores <= MAX_CORES)?;
        (layout == LAYOUT && words.len() >= self::words(cores)).then_some(Self { words })
    }

    /// How many core records the memory really holds.
    pub fn cores(self) -> usize {
        (self.words.len() - HEADER_WORDS) / CORE_WORDS
    }

    pub fn worker(self, word: Worker) -> &'a AtomicU64 {
        &self.words[word as usize]
    }

    /// # Panics
    /// When `core` is not below [`Counters::cores`].
    pub fn core(self, core: usize, word: Core) -> &'a AtomicU64 {
        assert!(core < self.cores(), "core {core} of {}", self.cores());
        &self.words[HEADER_WORDS + core * CORE_WORDS + word as usize]
    }

    /// Counts the request that ended now into the current window. `requests`: all so far.
    pub fn window(self, now: u64, requests: u64) {
        let begin = self.worker(Worker::WindowMillis);
        let began = begin.load(Ordering::Relaxed);
        let length = now.saturating_sub(began);
        if began != 0 && length < WINDOW_MILLIS {
            return;
        }
        // One of the threads that end a request now moves the window on.
        let moved = begin.compare_exchange(began, now, Ordering::Relaxed, Ordering::Relaxed);
        if moved.is_err() {
            return;
        }
        let base = self.worker(Worker::WindowRequests);
        if began == 0 {
            return base.store(requests.saturating_sub(1), Ordering::Relaxed);
        }
        let before = base.swap(requests, Ordering::Relaxed);
        let rate = per_second(requests.saturating_sub(before), length);
        self.worker(Worker::WindowRate)
            .store(rate, Ordering::Relaxed);
    }

    /// Requests in a second, in thousandths, over the last seconds.
    pub fn rate_milli(self, now: u64) -> u64 {
        let of = |word| self.worker(word).load(Ordering::Relaxed);
        let began = of(Worker::WindowMillis);
        if began == 0 {
            return 0;
        }
        let length = now.saturating_sub(began);
        let last = of(Worker::WindowRate);
        if length < 1000 && last != 0 {
            return last;
        }
        let requests = of(Worker::Requests).saturating_sub(of(Worker::WindowRequests));
        per_second(requests, length.max(1000))
    }

    /// Keeps the start of a request line (`1.2.3.4 - GET /path`, as the original's harakiri report
    /// has it) where the master can read it.
    pub fn set_line(self, core: usize, line: &[u8]) {
        let line = &line[..line.len().min(LINE_BYTES)];
        let first = HEADER_WORDS + core * CORE_WORDS + 16;
        for (index, chunk) in line.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words[first + index].store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.core(core, Core::LineBytes)
            .store(line.len() as u64, Ordering::Relaxed);
    }

    pub fn line(self, core: usize) -> Vec<u8> {
        let bytes = self.core(core, Core::LineBytes).load(Ordering::Relaxed);
        let bytes = usize::try_from(bytes).unwrap_or(LINE_BYTES).min(LINE_BYTES);
        let first = HEADER_WORDS + core * CORE_WORDS + 16;
        let words = &self.words[first..first + bytes.div_ceil(8)];
        let mut line: Vec<u8> = words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect();
        line.truncate(bytes);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_fades() {
        let memory: Vec<AtomicU64> = (0..words(1)).map(|_| AtomicU64::new(0)).collect();
        let counters = Counters::init(&memory, 1);
        assert_eq!(counters.rate_milli(1000), 0);
        // Ten requests a second, for twelve seconds.
        let mut now = 1000;
        for request in 1..=120 {
            let requests = counters.worker(Worker::Requests);
            requests.store(request, Ordering::Relaxed);
            counters.window(now, request);
            now += 100;
        }
        let rate = counters.rate_milli(now);
        assert!((9_000..=11_000).contains(&rate), "{rate}");
        // Then none.
        assert!(counters.rate_milli(now + 10_000) < 3000);
        assert!(counters.rate_milli(now + 100_000) < 300);
    }

    #[test]
    fn a_reader_refuses_memory_that_is_shorter_than_it_claims() {
        let memory: Vec<AtomicU64> = (0..words(2)).map(|_| AtomicU64::new(0)).collect();
        assert!(Counters::open(&memory).is_none());
        let counters = Counters::init(&memory, 2);
        counters.set_line(1, b"GET /a/long/enough/path HTTP/1.1");
        assert_eq!(counters.line(1), b"GET /a/long/enough/path HTTP/1.1");
        assert!(Counters::open(&memory).is_some());
        assert!(Counters::open(&memory[..words(1)]).is_none());
    }
}
