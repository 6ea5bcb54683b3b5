//! Non-interference: the whole history of a tenant is the same with and without another one beside it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::history::{self, History};
use crate::two::{Dice, Round, Two};

/// `TENANT_SEEDS` takes more; `TENANT_SEED` begins elsewhere.
const SEEDS: u64 = 6;
const ROUNDS: usize = 10;

/// Lines of the log, from this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Without the numbers of rows, in no order.
    fn sorted(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let numbers = ["journal", "action", "destination", "list"];
        let word = |word: &str| match word.split_once('=') {
            Some((name, _)) if numbers.contains(&name) => name.to_owned(),
            _ => word.to_owned(),
        };
        let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        let mut lines: Vec<String> = text.lines().map(line).collect();
        lines.sort();
        lines
    }
}

struct Played {
    two: Two,
    log: Vec<String>,
}

/// The rounds of these sides, as this seed has them.
fn play(sides: &[usize], seed: u64) -> Played {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let two = tracing::subscriber::with_default(subscriber, || {
        let two = Two::with(sides, seed);
        let rounds: Vec<Vec<Round>> =
            sides.iter().map(|&side| Dice::new(seed, side).rounds(side, ROUNDS)).collect();
        for number in 0..ROUNDS {
            two.play(number, &rounds.iter().map(|of| &of[number]).collect::<Vec<_>>());
        }
        two
    });
    Played { two, log: lines.sorted() }
}

fn assert_same(alone: &History, beside: &History, context: &str) {
    assert_eq!(alone.keys().collect::<Vec<_>>(), beside.keys().collect::<Vec<_>>());
    for (part, lines) in alone {
        let other = &beside[part];
        let first = lines.iter().zip(other).position(|(one, other)| one != other);
        let at = first.unwrap_or(lines.len().min(other.len()));
        assert!(
            lines == other,
            "{context}: {part} differs at {at} of {} and {}\nalone:  {:?}\nbeside: {:?}",
            lines.len(),
            other.len(),
            lines.get(at),
            other.get(at)
        );
    }
}

#[test]
fn s07_a_tenants_whole_history_is_the_same_with_and_without_another() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("TENANT_SEED", 1);
    let mut events = 0;
    for seed in first..first + number("TENANT_SEEDS", SEEDS) {
        let alone = [play(&[0], seed), play(&[1], seed)];
        let both = play(&[0, 1], seed);
        for (side, alone) in alone.iter().enumerate() {
            let context = format!("TENANT_SEED={seed}, side {side}");
            let history = history::of(&alone.two, &alone.two.sides[0]);
            assert_same(&history, &history::of(&both.two, &both.two.sides[side]), &context);
            let (counted, found) = history::usage_counted(&both.two, &both.two.sides[side]);
            assert_eq!(counted, found, "{context}");
            events += both.two.sides[side].brevo.events().len();
        }
        let [a, b] = alone.each_ref().map(|one| history::shared_keys(&one.two));
        assert!(a.is_disjoint(&b), "TENANT_SEED={seed}");
        assert_eq!(history::shared_keys(&both.two), a.union(&b).cloned().collect(), "TENANT_SEED={seed}");
        let mut log: Vec<String> = alone.iter().flat_map(|one| one.log.clone()).collect();
        log.sort();
        assert_eq!(both.log, log, "TENANT_SEED={seed}");
    }
    assert!(events > 0, "something reached Brevo");
}
