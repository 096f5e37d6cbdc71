//! Our own log lines on stderr: short, coloured on a terminal only, with the time only where
//! nobody else adds it (a terminal needs none, the journal has its own).

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub(crate) fn start() {
    let terminal = std::io::stderr().is_terminal();
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let format = Lines {
        colour: terminal && !set("NO_COLOR") && !dumb,
        time: !terminal && !set("JOURNAL_STREAM"),
    };
    let filter =
        EnvFilter::try_from_env("IMPERATOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start in one process keeps the first one's settings.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(format.colour)
        .event_format(format)
        .try_init();
}

struct Lines {
    colour: bool,
    time: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.time {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " ")?;
        }
        let level = *event.metadata().level();
        let (word, colour) = match level {
            Level::ERROR => ("error: ", "\u{1b}[31m"),
            Level::WARN => ("warning: ", "\u{1b}[33m"),
            _ => ("", ""),
        };
        if self.colour && !word.is_empty() {
            write!(writer, "{colour}{word}\u{1b}[0m")?;
        } else {
            write!(writer, "{word}")?;
        }
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
