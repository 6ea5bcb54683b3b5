//! Query parameters of the calls that list.

use serde_json::Value;

use super::replies::violation;
use crate::clock::{Millis, parse_day, parse_rfc3339};
use crate::http::{Reply, Request};

const DAY: Millis = 86_400_000;

/// `limit`, `offset` and `sort`.
pub(super) struct Page {
    limit: usize,
    offset: usize,
    ascending: bool,
}

impl Page {
    /// Refuses whatever is neither of a page nor among the others.
    pub(super) fn read(
        request: &Request,
        default: usize,
        most: usize,
        others: &[&str],
    ) -> Result<Self, Reply> {
        let mut page = Self { limit: default, offset: 0, ascending: false };
        let number = |value: &str| value.parse::<usize>().ok();
        for (name, value) in &request.query {
            match (name.as_str(), value.as_str()) {
                ("limit", value) => match number(value).filter(|limit| *limit <= most) {
                    Some(limit) => page.limit = limit,
                    None => {
                        return Err(violation("out_of_range", &format!("limit is a number up to {most}")));
                    }
                },
                ("offset", value) => match number(value) {
                    Some(offset) => page.offset = offset,
                    None => return Err(violation("out_of_range", "offset is a number")),
                },
                ("sort", "asc") => page.ascending = true,
                ("sort", "desc") => page.ascending = false,
                (name, _) if others.contains(&name) => (),
                _ => return Err(violation("invalid_parameter", "unknown query parameter")),
            }
        }
        Ok(page)
    }

    /// The n-th page, counted from 1, in place of an offset.
    pub(super) fn number(self, n: usize) -> Self {
        Self { offset: n.saturating_sub(1).saturating_mul(self.limit), ..self }
    }

    /// The page of rows that come in order of creation.
    pub(super) fn of(&self, rows: impl DoubleEndedIterator<Item = Value>) -> Vec<Value> {
        match self.ascending {
            true => rows.skip(self.offset).take(self.limit).collect(),
            false => rows.rev().skip(self.offset).take(self.limit).collect(),
        }
    }
}

/// Filters of a list, read after [`Page`] has refused those that are unknown.
pub(super) struct Filters<'a>(pub(super) &'a Request);

impl<'a> Filters<'a> {
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Reply> {
        let read = |text: &str| {
            text.parse().map_err(|_| violation("invalid_parameter", &format!("{name} is not a number")))
        };
        self.text(name).map(read).transpose()
    }

    pub(super) fn one_of(&self, name: &str, words: &[&str]) -> Result<Option<&'a str>, Reply> {
        match self.text(name) {
            Some(word) if !words.contains(&word) => {
                Err(violation("invalid_parameter", &format!("{name} is not one of the documented")))
            }
            word => Ok(word),
        }
    }

    /// A date and time with an offset; the beginning of time where it is missing.
    pub(super) fn since(&self, name: &str) -> Result<Millis, Reply> {
        self.text(name).map_or(Ok(Millis::MIN), |text| {
            parse_rfc3339(text).ok_or_else(|| {
                violation("invalid_parameter", &format!("{name} is a date and time with an offset"))
            })
        })
    }

    /// brevo: `tags` of the reports, "serialized and urlencoded array". Whether all of several
    /// tags must be there is not documented; here one is enough. Empty without the filter.
    pub(super) fn tags(&self) -> Result<Vec<String>, Reply> {
        let read = |text| {
            serde_json::from_str(text)
                .map_err(|_| violation("invalid_parameter", "tags is not a serialized array of strings"))
        };
        self.text("tags").map_or(Ok(Vec::new()), read)
    }

    /// What `startDate` and `endDate` (whole days of UTC, both or none) or `days` ask for; the end
    /// is excluded. Without them the last `default` days.
    pub(super) fn days(&self, now: Millis, default: i64, most: i64) -> Result<(Millis, Millis), Reply> {
        let day = |name: &str| {
            let read = |text| {
                parse_day(text)
                    .ok_or_else(|| violation("invalid_parameter", &format!("{name} is not yyyy-mm-dd")))
            };
            self.text(name).map(read).transpose()
        };
        match (day("startDate")?, day("endDate")?, self.number("days")?) {
            (None, None, None) => Ok((now - default * DAY, Millis::MAX)),
            (None, None, Some(days)) if (1..=most).contains(&days) => {
                Ok((now - now.rem_euclid(DAY) - (days - 1) * DAY, Millis::MAX))
            }
            (Some(from), Some(to), None) if from <= to && to - from <= most * DAY => Ok((from, to + DAY)),
            (Some(_), Some(_), None) | (None, None, Some(_)) => {
                Err(violation("out_of_range", &format!("a range of 1 to {most} days")))
            }
            _ => Err(violation("invalid_parameter", "startDate and endDate, or days where they are known")),
        }
    }
}
