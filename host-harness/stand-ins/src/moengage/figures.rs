//! Figures of campaigns, day by day, and how they add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::campaigns::Campaign;
use crate::clock::{Millis, rfc3339};

/// Figures of one campaign, day, platform, locale and variation. Missing members of JSON take
/// those of [`Figures::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Figures {
    /// `campaign_id` of V1: [`Campaign::id`].
    pub campaign_id: String,
    /// `2026-11-20`.
    pub day: String,
    /// `android`, `ios`, `web`: the only one of the documents' examples is `android`.
    pub platform: String,
    /// `all_locales`, or a locale's name.
    pub locale: String,
    /// `all_variations`, `campaign_control_group`, `global_control_group`, or a variation's name.
    pub variation: String,
    /// Counts only where this `metric_type` is asked for; none counts always.
    pub metric_type: Option<String>,
    /// As `metric_type`, for `attribution_type`.
    pub attribution_type: Option<String>,
    /// Counts of `performance_stats`: `attempted`, `sent` ... Its rates are worked out. Empty
    /// leaves the whole object out, as for a control group.
    pub performance: BTreeMap<String, i64>,
    /// `conversion_goal_stats`: `conversions`, `revenue` ... by goal.
    pub goals: BTreeMap<String, BTreeMap<String, i64>>,
    /// `delivery_funnel`.
    pub funnel: BTreeMap<String, i64>,
    /// `failure_breakdown`.
    pub failures: BTreeMap<String, i64>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            campaign_id: String::new(),
            day: String::new(),
            platform: "android".to_owned(),
            locale: "all_locales".to_owned(),
            variation: "all_variations".to_owned(),
            metric_type: None,
            attribution_type: None,
            performance: BTreeMap::new(),
            goals: BTreeMap::new(),
            funnel: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }
}

fn counts(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

impl Figures {
    /// Made-up figures of one day: all platforms of the campaign, with both control groups.
    pub fn of_day(campaign: &Campaign, day: &str, sent: i64) -> Vec<Self> {
        let platforms: &[&str] = if campaign.channel == "PUSH" { &["android", "ios"] } else { &["email"] };
        let row = |platform: &str, variation: &str| Self {
            campaign_id: campaign.id.clone(),
            day: day.to_owned(),
            platform: platform.to_owned(),
            variation: variation.to_owned(),
            goals: BTreeMap::from([("Goal 1".to_owned(), counts(&[("conversions", 0)]))]),
            ..Self::default()
        };
        let shown = if campaign.channel == "PUSH" { "impression" } else { "delivered" };
        let rows = platforms.iter().flat_map(|platform| {
            let all = Self {
                performance: counts(&[
                    ("attempted", sent + 2),
                    ("sent", sent),
                    ("failed", 2),
                    (shown, sent - 1),
                    ("click", sent / 4),
                    ("unsubscribe", 1),
                ]),
                goals: BTreeMap::from([(
                    "Goal 1".to_owned(),
                    counts(&[("conversions", sent / 10), ("revenue", sent * 3)]),
                )]),
                funnel: counts(&[
                    ("reachable_users_in_segment", sent + 3),
                    ("after_fc", sent + 2),
                    ("users_after_dup", sent + 2),
                    ("sent", sent),
                ]),
                ..row(platform, "all_variations")
            };
            // The first spelling is the documents' own.
            let removed = [
                ("campaign_control_group", "user_removed_due_to_campaing_control_group"),
                ("global_control_group", "user_removed_due_to_global_control_group"),
            ];
            let groups = removed.into_iter().map(|(group, reason)| Self {
                funnel: counts(&[("reachable_users_in_segment", 0)]),
                failures: counts(&[(reason, 1)]),
                ..row(platform, group)
            });
            std::iter::once(all).chain(groups).collect::<Vec<_>>()
        });
        rows.collect()
    }

    /// What a new workspace knows: of its two newest campaigns, each of the last three days.
    pub(super) fn samples(campaigns: &[Campaign], now: Millis) -> Vec<Self> {
        let days = (0..3).map(|back| day(now - back * 86_400_000));
        let of = |day: String| campaigns.iter().take(2).flat_map(move |own| Self::of_day(own, &day, 40));
        days.flat_map(of).collect()
    }

    fn same_place(&self, other: &Self) -> bool {
        let place = |own: &Self| {
            [&own.campaign_id, &own.day, &own.platform, &own.locale, &own.variation].map(String::clone)
        };
        place(self) == place(other)
            && self.metric_type == other.metric_type
            && self.attribution_type == other.attribution_type
    }
}

/// `2026-11-20`, in UTC.
pub(super) fn day(at: Millis) -> String {
    rfc3339(at).get(..10).unwrap_or_default().to_owned()
}

/// Adds rows; one of the same campaign, day, platform, locale and variation is restated.
pub(super) fn restate(figures: &mut Vec<Figures>, new: impl IntoIterator<Item = Figures>) {
    for row in new {
        match figures.iter_mut().find(|known| known.same_place(&row)) {
            Some(known) => *known = row,
            None => figures.push(row),
        }
    }
}

/// What is asked of the figures.
pub(super) struct Asked<'a> {
    pub(super) days: (&'a str, &'a str),
    pub(super) metric_type: &'a str,
    pub(super) attribution_type: &'a str,
}

impl Asked<'_> {
    fn keeps(&self, row: &Figures) -> bool {
        let fits = |own: &Option<String>, asked: &str| own.as_deref().is_none_or(|own| own == asked);
        // Days of this spelling are in the order of their letters.
        (self.days.0..=self.days.1).contains(&row.day.as_str())
            && fits(&row.metric_type, self.metric_type)
            && fits(&row.attribution_type, self.attribution_type)
    }

    /// `platforms` of one campaign: the sums over the days.
    pub(super) fn platforms(&self, figures: &[Figures], campaign: &str) -> Value {
        let mut sums: BTreeMap<[&str; 3], Figures> = BTreeMap::new();
        for row in figures.iter().filter(|row| row.campaign_id == campaign && self.keeps(row)) {
            let sum = sums.entry([&row.platform, &row.locale, &row.variation]).or_default();
            add(&mut sum.performance, &row.performance);
            add(&mut sum.funnel, &row.funnel);
            add(&mut sum.failures, &row.failures);
            for (goal, counts) in &row.goals {
                add(sum.goals.entry(goal.clone()).or_default(), counts);
            }
        }
        let mut platforms = json!({});
        for ([platform, locale, variation], sum) in &sums {
            platforms[*platform]["locales"][*locale]["variations"][*variation] = sum.answered();
        }
        platforms
    }
}

fn add(sum: &mut BTreeMap<String, i64>, counts: &BTreeMap<String, i64>) {
    for (name, count) in counts {
        let own = sum.entry(name.clone()).or_default();
        *own = own.saturating_add(*count);
    }
}

impl Figures {
    fn answered(&self) -> Value {
        let mut answer = json!({
            "conversion_goal_stats": {}, "delivery_funnel": self.funnel, "failure_breakdown": self.failures,
        });
        let of = |name: &str| self.performance.get(name).copied().unwrap_or(0);
        let shown = if self.performance.contains_key("impression") { "impression" } else { "delivered" };
        for (goal, counts) in &self.goals {
            let mut stats = numbers(counts);
            let conversions = counts.get("conversions").copied().unwrap_or(0);
            stats.insert("cvr".to_owned(), rate(conversions, of(shown)));
            stats.insert("uplift".to_owned(), json!(0));
            answer["conversion_goal_stats"][goal] = Value::Object(stats);
        }
        if !self.performance.is_empty() {
            let mut stats = numbers(&self.performance);
            for (name, value) in [
                ("ctr", rate(of("click"), of(shown))),
                ("delivery_rate", rate(of(shown), of("sent"))),
                ("sent_rate", rate(of("sent"), of("attempted"))),
                ("failure_rate", rate(of("attempted").saturating_sub(of("sent")), of("attempted"))),
            ] {
                stats.insert(name.to_owned(), value);
            }
            answer["performance_stats"] = Value::Object(stats);
        }
        answer
    }
}

fn numbers(counts: &BTreeMap<String, i64>) -> Map<String, Value> {
    counts.iter().map(|(name, count)| (name.clone(), json!(count))).collect()
}

/// Per cent, with two places at most; a whole number is written as one, as in the examples.
fn rate(part: i64, whole: i64) -> Value {
    if whole == 0 {
        return json!(0);
    }
    let hundredths = (part as f64 * 10_000.0 / whole as f64).round();
    match hundredths % 100.0 == 0.0 {
        true => json!((hundredths / 100.0) as i64),
        false => json!(hundredths / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked<'a>(days: (&'a str, &'a str), metric_type: &'a str) -> Asked<'a> {
        Asked { days, metric_type, attribution_type: "VIEW_THROUGH" }
    }

    #[test]
    fn days_add_up_and_a_restated_day_counts_once() {
        let campaign = Campaign::numbered(1);
        let mut figures = Figures::of_day(&campaign, "2026-11-01", 10);
        restate(&mut figures, Figures::of_day(&campaign, "2026-11-02", 20));
        let rows = figures.len();
        let sent = |figures: &[Figures], to| {
            let platforms = asked(("2026-11-01", to), "TOTAL").platforms(figures, &campaign.id);
            platforms["ios"]["locales"]["all_locales"]["variations"]["all_variations"]["performance_stats"]
                ["sent"]
                .clone()
        };
        assert_eq!((sent(&figures, "2026-11-01"), sent(&figures, "2026-11-02")), (json!(10), json!(30)));
        restate(&mut figures, Figures::of_day(&campaign, "2026-11-02", 25));
        assert_eq!((figures.len(), sent(&figures, "2026-11-02")), (rows, json!(35)));
        assert_eq!(asked(("2026-10-01", "2026-10-31"), "TOTAL").platforms(&figures, &campaign.id), json!({}));
    }

    #[test]
    fn figures_of_a_metric_show_only_where_it_is_asked_for() {
        let row = |metric: &str, sent| Figures {
            day: "2026-11-01".to_owned(),
            metric_type: Some(metric.to_owned()),
            performance: counts(&[("attempted", 3), ("sent", sent)]),
            ..Figures::default()
        };
        let mut figures = vec![row("TOTAL", 3)];
        restate(&mut figures, [row("UNIQUE", 2)]);
        let unique = asked(("2026-11-01", "2026-11-01"), "UNIQUE").platforms(&figures, "");
        let stats =
            &unique["android"]["locales"]["all_locales"]["variations"]["all_variations"]["performance_stats"];
        assert_eq!((&stats["sent"], &stats["sent_rate"]), (&json!(2), &json!(66.67)));
    }

    proptest! {
        #[test]
        fn a_rate_is_a_number_whatever_the_counts(part in any::<i64>(), whole in any::<i64>()) {
            prop_assert!(rate(part, whole).is_number());
        }
    }
}
