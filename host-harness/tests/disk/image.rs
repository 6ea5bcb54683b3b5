//! What a disk holds after a power cut.

use std::collections::BTreeMap;
use std::path::Path;

use super::vfs::Op;

/// What became of what was written and not synced.
#[derive(Clone, Copy, Debug)]
pub enum Unsynced {
    Lost,
    Kept,
    /// Some of it, in any order, and torn at the borders of sectors.
    Any(u64),
}

const SECTOR: usize = 512;

/// Numbers that are the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

#[derive(Default)]
struct File {
    durable: Option<Vec<u8>>,
    pending: Vec<Op>,
}

/// Puts what is left of the files into a directory.
pub fn after_power_cut(ops: &[Op], unsynced: Unsynced, directory: &Path) {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    for op in ops {
        match op {
            Op::Write { file, .. } | Op::Truncate { file, .. } => {
                files.entry(file).or_default().pending.push(op.clone());
            }
            Op::Sync { file } => {
                let file = files.entry(file).or_default();
                let durable = file.durable.get_or_insert_default();
                file.pending.drain(..).for_each(|op| apply(durable, &op, usize::MAX));
            }
            Op::LostSync { file } => {
                if let Some(file) = files.get_mut(file.as_str()) {
                    file.pending.clear();
                }
            }
            Op::Delete { file } => {
                files.remove(file.as_str());
            }
        }
    }
    let mut dice = Dice(if let Unsynced::Any(seed) = unsynced { seed } else { 0 });
    for (name, mut file) in files {
        for op in &file.pending {
            let most = match unsynced {
                Unsynced::Lost => continue,
                Unsynced::Kept => usize::MAX,
                Unsynced::Any(_) => match dice.roll(3) {
                    0 => continue,
                    1 => SECTOR * dice.roll(9) as usize,
                    _ => usize::MAX,
                },
            };
            apply(file.durable.get_or_insert_default(), op, most);
        }
        if let Some(bytes) = file.durable {
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

fn apply(content: &mut Vec<u8>, op: &Op, most: usize) {
    match op {
        Op::Write { at, bytes, .. } => {
            let bytes = &bytes[..bytes.len().min(most)];
            if content.len() < at + bytes.len() {
                content.resize(at + bytes.len(), 0);
            }
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Op::Truncate { size, .. } => content.resize(*size, 0),
        _ => {}
    }
}
