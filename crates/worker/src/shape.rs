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
    name: Box<[u8]>,
    /// `None`: this name needs a look each time.
    fact: Option<Fact>,
}

/// The names so far, and whether they are those of the last request.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    seen: Vec<Seen>,
    place: usize,
    differs: bool,
    number: u64,
}

impl Shape {
    /// A request begins.
    pub(crate) fn begin(&mut self) {
        self.place = 0;
        self.differs = false;
    }

    /// What is known of the next name, when it and all before it are those of the last request.
    pub(crate) fn next(&mut self, name: &[u8]) -> Option<Fact> {
        if self.differs {
            return None;
        }
        match self.seen.get(self.place) {
            Some(seen) if *seen.name == *name => {
                let fact = seen.fact;
                // A name without a fact is learned again.
                self.place += usize::from(fact.is_some());
                fact
            }
            Some(_) | None => {
                self.differs = true;
                self.number = 0;
                self.seen.truncate(self.place);
                None
            }
        }
    }

    /// Whether [`Shape::next`] would know something.
    pub(crate) fn expects(&self, name: &[u8]) -> bool {
        let seen = self.seen.get(self.place).filter(|_| !self.differs);
        seen.is_some_and(|seen| seen.fact.is_some() && *seen.name == *name)
    }

    /// After [`Shape::next`] knew nothing. It holds for every request that has the same names up to
    /// here.
    pub(crate) fn learn(&mut self, name: &[u8], fact: Option<Fact>) {
        if self.differs {
            let name = name.into();
            self.seen.push(Seen { name, fact });
        }
        self.place += 1;
    }

    /// The request's last name was there.
    pub(crate) fn end(&mut self) {
        if self.place < self.seen.len() {
            self.seen.truncate(self.place);
            self.number = 0;
        }
        if self.number == 0 {
            self.number = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A variable was added or replaced by us.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
        self.place = 0;
        self.differs = true;
        self.number = 0;
    }

    /// Two requests of the same number have the same names in the same order; 0: who knows.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
