//! Compares what the clients sent with what the app and the server wrote down.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use crate::lifecycle::ask::Style;
use crate::lifecycle::traffic::Record;

/// A request that was running when its worker was killed ends within this time: its client may have
/// to wait for its turn.
const CUT_WITHIN: Duration = Duration::from_secs(3);
const DESCRIBED: usize = 4;

/// What came of all requests of one row.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Account {
    pub sent: u64,
    pub failed: u64,
    /// Of those: running when a worker was killed with -9.
    pub cut: u64,
    pub retried: u64,
    /// The longest wait of a short request.
    pub longest_seconds: f64,
    /// Answered, but the app did not begin them.
    pub not_in_app: u64,
    /// The app began them twice, and the client had not asked twice.
    pub twice: u64,
    /// Answered, but not in the server's request log.
    pub not_in_log: u64,
    /// By what happened.
    pub failures: BTreeMap<String, u64>,
    /// The first failures that were not cut.
    pub described: Vec<String>,
}

/// The requests in `app.log` of the app: how often each was begun and ended.
pub fn read_app(text: &str) -> HashMap<u64, (u32, u32)> {
    let mut found: HashMap<u64, (u32, u32)> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(letter), Some(id)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(id) = id.parse() else { continue };
        let entry = found.entry(id).or_default();
        match letter {
            "B" => entry.0 += 1,
            "E" => entry.1 += 1,
            _ => (),
        }
    }
    found
}

/// The requests in a server's log, in whatever format it is: `/r/ID/`.
pub fn read_log(text: &str) -> HashSet<u64> {
    text.split("/r/")
        .skip(1)
        .filter_map(|rest| rest.split_once('/')?.0.parse().ok())
        .collect()
}

/// When a worker was killed: from before the signal was sent until it was.
pub type Kill = RangeInclusive<Duration>;

pub fn account(records: &[Record], kills: &[Kill], app: &str, log: &str) -> Account {
    let (app, log) = (read_app(app), read_log(log));
    let mut result = Account::default();
    let retried: BTreeSet<u64> = records
        .iter()
        .filter(|record| record.retried)
        .map(|record| record.id)
        .collect();
    let mut open: Vec<&Record> = Vec::new();
    for record in records {
        result.sent += 1;
        result.retried += u64::from(record.retried);
        let (begun, _) = app.get(&record.id).copied().unwrap_or_default();
        result.twice += u64::from(begun > 1 && !retried.contains(&record.id));
        if matches!(record.style, Style::Short | Style::Kept) {
            result.longest_seconds = result.longest_seconds.max(record.waited.as_secs_f64());
        }
        let Some(what) = &record.failed else {
            result.not_in_app += u64::from(begun == 0);
            result.not_in_log += u64::from(!log.contains(&record.id));
            continue;
        };
        result.failed += 1;
        *result.failures.entry(what.clone()).or_default() += 1;
        let end = record.start + record.waited;
        let cut = kills.iter().any(|kill| {
            let (sent, after) = (kill.start(), kill.end());
            record.start <= *after && *sent <= end && end.saturating_sub(*after) < CUT_WITHIN
        });
        if cut {
            result.cut += 1;
        } else {
            open.push(record);
        }
    }
    open.sort_by_key(|record| record.start);
    result.described = open
        .iter()
        .take(DESCRIBED)
        .map(|record| describe(record, app.get(&record.id).copied()))
        .collect();
    result
}

fn describe(record: &Record, app: Option<(u32, u32)>) -> String {
    let (begun, ended) = app.unwrap_or_default();
    format!(
        "{:?} request {} at {:.3} s: {} after {:.3} s (the app began it {begun} times, ended it {ended} times)",
        record.style,
        record.id,
        record.start.as_secs_f64(),
        record.failed.as_deref().unwrap_or("answered"),
        record.waited.as_secs_f64(),
    )
}

impl Account {
    /// Failures that no kill explains.
    pub fn unexplained(&self) -> u64 {
        self.failed - self.cut
    }

    /// Whether clients, app and server log tell the same. `unlogged`: so many lines may be missing,
    /// since a worker that is killed writes none.
    pub fn agrees(&self, unlogged: u64) -> bool {
        self.not_in_app == 0 && self.twice == 0 && self.not_in_log <= unlogged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64, start: u64, waited: u64, failed: Option<&str>) -> Record {
        Record {
            id,
            style: Style::Short,
            start: Duration::from_millis(start),
            waited: Duration::from_millis(waited),
            retried: false,
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn each_request_is_looked_for_in_the_app_and_in_the_log() {
        let records = [
            record(1, 0, 5, None),
            record(2, 10, 5, None),
            record(3, 20, 5, None),
            record(4, 30, 900, Some("status 502")),
            record(5, 1000, 50, Some("read: NoAnswer")),
        ];
        let app = "B 1 9\nE 1 9\nB 2 9\nE 2 9\nB 2 9\nE 2 9\nB 5 9\n";
        let log = "GET /r/1/short HTTP/1.1\n[x] \"GET /r/2/short\" 200\nGET /r/999";
        let kills = [Duration::from_millis(1018)..=Duration::from_millis(1020)];
        let account = account(&records, &kills, app, log);
        assert_eq!(
            (
                account.sent,
                account.failed,
                account.cut,
                account.unexplained()
            ),
            (5, 2, 1, 1)
        );
        assert_eq!(
            (account.not_in_app, account.twice, account.not_in_log),
            (1, 1, 1)
        );
        assert!(!account.agrees(9));
        assert!(account.described[0].contains("request 4 at 0.030 s: status 502"));
    }
}
