//! The names of a request's variables, as the last request had them: a front end sends the same
//! ones in the same order each time, so what was found out about each of them still holds. Pure.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of the next new shape; 0 is none.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What is known of the name at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) mark: u64,
    /// Its index among the names that we look at ourselves.
    pub(crate) known: Option<u8>,
}

#[derive(Debug)]
struct Seen {
    /// Where its name ends in the text of all; it begins where the last one ends.
    end: usize,
    /// `None`: this name needs a look each time.
    fact: Option<Fact>,
}

/// The names so far, and whether they are those of the last request.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    seen: Vec<Seen>,
    /// All names, one behind the other: they are read in this order.
    text: Vec<u8>,
    place: usize,
    /// Where the name at `place` begins.
    start: usize,
    differs: bool,
    number: u64,
}

impl Shape {
    /// A request begins.
    pub(crate) fn begin(&mut self) {
        (self.place, self.start) = (0, 0);
        self.differs = false;
    }

    /// What is known of the next name, when it and all before it are those of the last request.
    #[inline]
    pub(crate) fn next(&mut self, name: &[u8]) -> Option<Fact> {
        if self.differs {
            return None;
        }
        match self.seen.get(self.place) {
            Some(seen) if same(&self.text[self.start..seen.end], name) => {
                // A name without a fact is learned again.
                if seen.fact.is_some() {
                    self.place += 1;
                    self.start = seen.end;
                }
                seen.fact
            }
            Some(_) | None => {
                self.differs = true;
                self.cut();
                None
            }
        }
    }

    /// What is known of the next name, which is that of the last request, as are all before it.
    #[inline]
    pub(crate) fn pass(&mut self) -> Option<Fact> {
        let seen = self.seen.get(self.place).filter(|_| !self.differs)?;
        let fact = seen.fact?;
        self.place += 1;
        self.start = seen.end;
        Some(fact)
    }

    /// Whether [`Shape::next`] would know something.
    pub(crate) fn expects(&self, name: &[u8]) -> bool {
        let seen = self.seen.get(self.place).filter(|_| !self.differs);
        seen.is_some_and(|seen| seen.fact.is_some() && self.text[self.start..seen.end] == *name)
    }

    /// After [`Shape::next`] knew nothing. It holds for every request that has the same names up to
    /// here.
    pub(crate) fn learn(&mut self, name: &[u8], fact: Option<Fact>) {
        if self.differs {
            self.text.extend_from_slice(name);
            let end = self.text.len();
            self.seen.push(Seen { end, fact });
        }
        self.start += name.len();
        self.place += 1;
    }

    /// Forgets the names from here on.
    fn cut(&mut self) {
        self.seen.truncate(self.place);
        self.text.truncate(self.start);
        self.number = 0;
    }

    /// The request's last name was there.
    pub(crate) fn end(&mut self) {
        if self.place < self.seen.len() {
            self.cut();
        }
        if self.number == 0 {
            self.number = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A variable was added or replaced by us.
    pub(crate) fn forget(&mut self) {
        (self.place, self.start) = (0, 0);
        self.cut();
        self.differs = true;
    }

    /// Two requests of the same number have the same names in the same order; 0: who knows.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Whether two short texts are the same, in steps of a word: names and values have a few bytes, of which
/// a call of memcmp(3) is the greater part.
#[inline]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    const WORD: usize = 8;
    if left.len() != right.len() {
        return false;
    }
    let (mut one, mut other) = (left, right);
    while let (Some((a, rest)), Some((b, rests))) = (
        one.split_first_chunk::<WORD>(),
        other.split_first_chunk::<WORD>(),
    ) {
        if a != b {
            return false;
        }
        (one, other) = (rest, rests);
    }
    match (left.last_chunk::<WORD>(), right.last_chunk::<WORD>()) {
        // Those of a shorter rest are looked at again, together with some before them.
        (Some(a), Some(b)) => a == b,
        (_, _) => one.iter().zip(other).all(|(a, b)| a == b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_when_every_byte_is() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..text.len() {
            assert!(same(&text[..length], &text.clone()[..length]));
            assert!(!same(&text[..length], &text[..length + 1]));
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 1;
                assert!(!same(&text[..length], &other), "{at} of {length}");
            }
        }
    }

    const FACT: Fact = Fact {
        mark: 7,
        known: None,
    };

    /// Sends the names through; those in capitals get a fact. Returns the number, and how many
    /// names were known.
    fn request(shape: &mut Shape, names: &[&str]) -> (u64, usize) {
        shape.begin();
        let mut known = 0;
        for name in names {
            match shape.next(name.as_bytes()) {
                Some(_) => known += 1,
                None => {
                    let fact = name.starts_with(char::is_uppercase).then_some(FACT);
                    shape.learn(name.as_bytes(), fact);
                }
            }
        }
        shape.end();
        (shape.number(), known)
    }

    #[test]
    fn equal_numbers_mean_equal_names() {
        let requests: [&[&str]; 9] = [
            &["A", "B", "c"],
            &["A", "B"],
            &["A", "B", "c", "D"],
            &["A", "c", "B"],
            &["B"],
            &[],
            &["A", "A"],
            &["A", "b", "B", "c"],
            &["AB"],
        ];
        let mut shape = Shape::default();
        let mut by_number = std::collections::BTreeMap::new();
        for first in &requests {
            for second in &requests {
                for names in [first, second] {
                    let (number, _) = request(&mut shape, names);
                    assert_ne!(number, 0);
                    assert_eq!(by_number.entry(number).or_insert(names), &names);
                }
            }
        }
    }

    #[test]
    fn what_is_known_holds_up_to_the_first_difference() {
        let mut shape = Shape::default();
        let (first, known) = request(&mut shape, &["A", "b", "C"]);
        assert_eq!(known, 0);
        assert_eq!(request(&mut shape, &["A", "b", "C"]), (first, 2));
        let (second, known) = request(&mut shape, &["A", "b", "D", "C"]);
        assert_eq!((second == first, known), (false, 1));
        assert_eq!(request(&mut shape, &["A", "b", "D", "C"]), (second, 3));
    }

    #[test]
    fn a_request_that_broke_off_leaves_no_number_behind() {
        let mut shape = Shape::default();
        let (number, _) = request(&mut shape, &["A", "B"]);
        shape.begin();
        assert_eq!(shape.next(b"A"), Some(FACT));
        assert_eq!(shape.next(b"X"), None);
        shape.learn(b"X", Some(FACT));
        let (next, known) = request(&mut shape, &["A", "X"]);
        assert_eq!((next == number, known), (false, 2));
        shape.forget();
        assert_eq!(shape.number(), 0);
        let (last, known) = request(&mut shape, &["A", "X"]);
        assert_eq!((last == next, known), (false, 0));
    }
}
