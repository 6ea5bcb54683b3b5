//! `harness backfill`: read what happened in a span of time.

use super::run::{Whose, resource};
use super::{Failure, Found, Output};
use crate::store::StoreError;
use crate::store::runs::{self, Refused};
use crate::world::Millis;

/// Read what happened in a span of time, from files that the vendor keeps
///
/// What is read goes the same way as what arrives live: what was accepted before is not accepted
/// again, events that are older than `max_event_age` cause nothing, and an opt-out always counts.
/// A running host does the work and this command looks on; without one the command does it itself,
/// and what it calls for at Brevo waits for `harness serve`. After a kill or an error it goes on
/// inside the file where it stopped.
/// Exit code 1 where the run was cut short or failed.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// The resource that has a history
    #[arg(long, value_name = "NAME", default_value = "event-exports")]
    resource: String,
    /// First instant: a date (2026-10-01, from midnight UTC) or a time (2026-10-01T12:00:00Z)
    #[arg(long, value_name = "WHEN", required_unless_present_any = ["resume", "cancel"])]
    from: Option<String>,
    /// The instant after the last one; now where it is left out
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// Take up a backfill that failed or was interrupted
    #[arg(long, conflicts_with_all = ["from", "to", "cancel"])]
    resume: bool,
    /// Give up a backfill that is not over; what it has read stays
    #[arg(long, conflicts_with_all = ["from", "to"])]
    cancel: bool,
    /// Only ask for it; don't wait (for a host that is running)
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let from = args.from.as_deref().map(|text| instant("from", text)).transpose()?;
    let to = args.to.as_deref().map(|text| instant("to", text)).transpose()?;
    let worker = args.whose.worker()?;
    let installation = worker.installation()?;
    let resource = resource(&installation, &args.resource)?;
    let (store, now) = (worker.store(), worker.now());
    if args.cancel {
        let cancelled =
            store.write::<_, StoreError>(|tx| runs::cancel_backfill(tx, installation.id, resource))?;
        cancelled.map_err(|why| refused(why, resource))?;
        println!("The backfill was given up.");
        return Ok(Found::Nothing);
    }
    let begun = store.write::<_, StoreError>(|tx| match from {
        Some(from) => {
            let window = (from, to.unwrap_or(now));
            if window.0 >= window.1 {
                return Ok(None);
            }
            runs::begin_backfill(tx, installation.id, resource, window, now).map(Some)
        }
        None => runs::resume_backfill(tx, installation.id, resource, now).map(Some),
    })?;
    let Some(begun) = begun else {
        return Err(Failure::usage("empty-window", "--from is not before --to", "Give a span of time."));
    };
    begun.map_err(|why| refused(why, resource))?;
    if args.detach {
        println!("Asked for; `harness status` shows how it stands.");
        return Ok(Found::Nothing);
    }
    worker.follow(&installation, &runs::backfill_key(resource), args.output)
}

fn refused(why: Refused, resource: &str) -> Failure {
    match why {
        Refused::UnderWay => Failure::usage(
            "backfill-under-way",
            format!("a backfill of {resource} is not over"),
            "Go on with --resume, or give it up with --cancel.",
        ),
        Refused::NoSuchRun => Failure::usage(
            "no-such-backfill",
            format!("there is no backfill of {resource} that is not over"),
            "Begin one with --from and --to.",
        ),
    }
}

/// A date is its midnight in UTC.
pub(super) fn instant(option: &str, text: &str) -> Result<Millis, Failure> {
    let time = text.parse::<jiff::Timestamp>().ok();
    let date = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    // A date parser that also takes the date out of a time without a zone would guess the zone.
    let date = (text.len() == "2026-10-01".len()).then(date).flatten();
    let found = time.or(date).map(jiff::Timestamp::as_millisecond).filter(|at| *at >= 0);
    found.ok_or_else(|| {
        Failure::usage(
            "bad-time",
            format!("--{option} is neither a date nor a time with its zone"),
            "Write 2026-10-01, or 2026-10-01T12:00:00Z.",
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_and_nothing_is_guessed() {
        let read = |text| instant("from", text).ok();
        assert_eq!(read("1970-01-02"), Some(86_400_000));
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(read("1970-01-01T01:00:01+01:00"), Some(1_000));
        for text in ["", "2026-13-01", "yesterday", "2026-10-01T12:00:00", "1969-12-31", "01.10.2026"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
