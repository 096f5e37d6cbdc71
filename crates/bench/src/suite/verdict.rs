//! What a row's rounds say: the ratio of each round, their median, and how sure it is. Pure.

/// A budget: a ratio that is not to be exceeded, or one that is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    AtMost(f64),
    AtLeast(f64),
}

impl Budget {
    fn limit(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => limit,
        }
    }

    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    /// The spread covers the limit.
    Undecided,
    Missed,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Undecided => "undecided",
            Self::Missed => "missed",
        }
    }
}

/// The middle of several values, and the range that holds the true middle in 19 of 20 cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// `None` without values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let last = count.checked_sub(1)?;
        // The number of values below the true median is binomial; its normal approximation errs to
        // the wide side for the few rounds of a run. Of nine values the extremes are left out.
        let wide = 1.96 * (count as f64).sqrt();
        let left_out = ((count as f64 - wide) / 2.0).floor().max(0.0) as usize;
        let median = (sorted[last / 2] + sorted[count / 2]) / 2.0;
        Some(Self {
            low: sorted[left_out],
            median,
            high: sorted[last - left_out],
        })
    }

    pub(super) fn judge(self, budget: Budget) -> Verdict {
        let limit = budget.limit();
        if self.low < limit && limit < self.high {
            Verdict::Undecided
        } else if budget.holds(self.median) {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nine_rounds_the_extremes_are_left_out() {
        let spread = Spread::of([9.0, 1.0, 5.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 5.0, 8.0));
        let spread = Spread::of([1.0, 4.0, 2.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_spread_over_the_limit_decides_nothing() {
        let spread = |low, median, high| Spread { low, median, high };
        let at_most = Budget::AtMost(0.8);
        assert_eq!(spread(0.70, 0.75, 0.79).judge(at_most), Verdict::Met);
        assert_eq!(spread(0.70, 0.75, 0.81).judge(at_most), Verdict::Undecided);
        assert_eq!(spread(0.79, 0.82, 0.85).judge(at_most), Verdict::Undecided);
        assert_eq!(spread(0.81, 0.82, 0.85).judge(at_most), Verdict::Missed);
        let at_least = Budget::AtLeast(1.0);
        assert_eq!(spread(1.1, 1.2, 1.3).judge(at_least), Verdict::Met);
        assert_eq!(spread(0.9, 1.2, 1.3).judge(at_least), Verdict::Undecided);
        assert_eq!(spread(0.7, 0.8, 0.9).judge(at_least), Verdict::Missed);
    }
}
