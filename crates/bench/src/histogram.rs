//! Latencies in a fixed amount of memory: buckets that grow with the value, 64 per power of two, so
//! a percentile is at most 1.6 % off.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Covers nanoseconds up to 2^40 (18 minutes); longer ones count in the last bucket.
const BUCKETS: usize = (40 - SUB_BITS as usize + 1) * SUB;

#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum_nanos: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            sum_nanos: 0,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    pub fn add(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.max = self.max.max(latency);
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
        self.max = self.max.max(other.max);
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    pub fn max(&self) -> Duration {
        self.max
    }

    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.checked_div(self.total).unwrap_or(0))
    }

    /// The latency that `percent` of the requests did not exceed.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = ((self.total as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_end(index)).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < SUB as u64 {
        return nanos as usize;
    }
    let power = 63 - nanos.leading_zeros();
    let sub = (nanos >> (power - SUB_BITS)) as usize - SUB;
    ((power - SUB_BITS + 1) as usize * SUB + sub).min(BUCKETS - 1)
}

fn upper_end(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let shift = index / SUB - 1;
    (((SUB + index % SUB + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_the_bucket_is_narrow() {
        let mut nanos = 1_u64;
        while nanos < 1 << 39 {
            for value in [nanos - 1, nanos, nanos + nanos / 3] {
                let end = upper_end(bucket(value));
                assert!(end >= value, "{value} ends at {end}");
                assert!(end - value <= value / 32 + 1, "{value} ends at {end}");
            }
            nanos *= 2;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_a_known_series() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        let close = |percent: f64, micros: f64| {
            let found = histogram.percentile(percent).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.02, "p{percent}: {found}");
        };
        close(50.0, 500.0);
        close(90.0, 900.0);
        close(99.0, 990.0);
        assert_eq!(histogram.percentile(100.0), Duration::from_millis(1));
        assert_eq!(histogram.max(), Duration::from_millis(1));
    }
}
