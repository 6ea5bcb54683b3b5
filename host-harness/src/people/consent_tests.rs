#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;

use super::*;
use crate::store::Store;
use ConsentBasis::{Flag, Signal};
use ConsentStatus::{OptedIn, OptedOut};

#[derive(Clone, Debug)]
enum News {
    Consent(ConsentStatus, ConsentBasis, Millis),
    Suppression(SuppressionReason, Millis),
}

fn view_after(news: &[News]) -> ConsentView {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("host.db")).unwrap();
    store
        .write(|tx| {
            for item in news {
                tell(tx, item)?;
            }
            known(tx, 1, Channel::Email)
        })
        .unwrap()
}

fn tell(tx: &Transaction<'_>, news: &News) -> Result<Merged, StoreError> {
    match *news {
        News::Consent(status, basis, at) => {
            merge(tx, 1, &SetConsent { channel: Channel::Email, status, basis }, at, 1_000)
        }
        News::Suppression(reason, at) => {
            merge_suppression(tx, 1, &SetSuppression { channel: Channel::Email, reason }, at, 1_000)
        }
    }
}

#[test]
fn nothing_said_is_unknown() {
    let view = view_after(&[]);
    assert_eq!(view.status, None);
    assert!(!view.is_known() && !view.blocked());
}

#[test]
fn a_tie_is_an_opt_out() {
    for basis in [Flag, Signal] {
        let view = view_after(&[News::Consent(OptedIn, basis, 5), News::Consent(OptedOut, basis, 5)]);
        assert_eq!(view.status, Some(OptedOut));
    }
    let view = view_after(&[News::Consent(OptedIn, Signal, 5), News::Consent(OptedOut, Flag, 5)]);
    assert_eq!(view.status, Some(OptedOut));
}

#[test]
fn a_flag_never_outweighs_an_explicit_opt_out() {
    let view = view_after(&[News::Consent(OptedOut, Signal, 5), News::Consent(OptedIn, Flag, 50)]);
    assert_eq!(view.status, Some(OptedOut));
}

#[test]
fn a_later_flag_replaces_a_flag_but_outweighs_no_opt_out_at_brevo() {
    let view = view_after(&[
        News::Consent(OptedIn, Signal, 5),
        News::Consent(OptedOut, Flag, 10),
        News::Consent(OptedIn, Flag, 20),
    ]);
    assert_eq!(view.status, Some(OptedIn));
    assert!(!view.opt_in_outweighs(5), "the opt-out of 10 is newer than the signal of 5");
    assert!(view.blocked(), "a flag lifts nothing");
    assert!(view.opt_in_outweighs(11));
}

#[test]
fn only_what_can_change_something_at_brevo_calls_for_an_action() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("host.db")).unwrap();
    let calls = |news| store.write(|tx| tell(tx, &news)).unwrap().calls_for_action;
    assert!(!calls(News::Consent(OptedIn, Flag, 5)));
    assert!(calls(News::Consent(OptedOut, Flag, 6)));
    assert!(!calls(News::Consent(OptedOut, Flag, 7)), "blocked already");
    assert!(calls(News::Consent(OptedOut, Signal, 8)), "said by the person");
    assert!(calls(News::Consent(OptedIn, Signal, 9)));
    assert!(calls(News::Consent(OptedOut, Flag, 10)), "blocked anew");
    assert!(!calls(News::Suppression(SuppressionReason::HardBounce, 11)), "blocked already");
}

#[test]
fn suppression_and_consent_are_two_things() {
    let view = view_after(&[
        News::Suppression(SuppressionReason::HardBounce, 5),
        News::Consent(OptedIn, Signal, 50),
    ]);
    assert_eq!(view.status, Some(OptedIn));
    assert!(view.blocked());
}

#[test]
fn channels_are_separate() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("host.db")).unwrap();
    let sms = store
        .write(|tx| {
            tell(tx, &News::Consent(OptedOut, Signal, 5))?;
            known(tx, 1, Channel::Sms)
        })
        .unwrap();
    assert!(!sms.is_known());
}

#[test]
fn two_people_that_are_one_keep_both_opt_outs() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("host.db")).unwrap();
    let out = SetConsent { channel: Channel::Email, status: OptedOut, basis: Signal };
    let view = store
        .write(|tx| {
            merge(tx, 2, &out, 9, 10)?;
            set_block_written(tx, 2, Channel::Email, Some(9))?;
            let mut consents = Consents::default();
            consents.absorb(tx, 1, 2, false, 10)?;
            consents.flush(tx)?;
            known(tx, 1, Channel::Email)
        })
        .unwrap();
    assert!(view.blocked());
    assert_eq!(view.block_written_at, None, "the block was set on another contact");
}

fn any_news() -> impl Strategy<Value = News> {
    let status = prop_oneof![Just(OptedIn), Just(OptedOut)];
    let basis = prop_oneof![Just(Flag), Just(Signal)];
    let reason = prop_oneof![Just(SuppressionReason::HardBounce), Just(SuppressionReason::Complaint)];
    prop_oneof![
        4 => (status, basis, 0..6i64).prop_map(|(s, b, at)| News::Consent(s, b, at)),
        1 => (reason, 0..6i64).prop_map(|(r, at)| News::Suppression(r, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_order_and_repetition_of_news_change_nothing(
        news in prop::collection::vec(any_news(), 0..8),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let mut shuffled = news.clone();
        if !news.is_empty() {
            for (place, with) in seed.iter().enumerate() {
                let len = shuffled.len();
                shuffled.swap(place % len, with.index(len));
            }
            shuffled.push(news[0].clone());
        }
        prop_assert_eq!(view_after(&news), view_after(&shuffled));
    }

    #[test]
    fn no_flag_lifts_an_explicit_opt_out(mut news in prop::collection::vec(any_news(), 0..8), at in 0..6i64) {
        news.retain(|n| !matches!(n, News::Consent(OptedIn, Signal, _)));
        news.push(News::Consent(OptedOut, Signal, at));
        let view = view_after(&news);
        prop_assert_eq!(view.status, Some(OptedOut));
        prop_assert!(view.blocked());
    }
}
