//! What a workspace has: every list that MoEngage gives and that changes slowly, by one table and
//! one way of reading.
//!
//! Each file beside this one describes some [`item::Item`]s: the call, how the list goes on, what
//! is kept of a row, how often it is worth reading. [`run`] reads any of them, [`row`] makes
//! records and the schema out of the same columns. What a thing says (subjects, texts, mark-up),
//! who made it, coupon codes and third parties' secrets have no column, so that they can't be read.

mod analytics;
mod campaigns;
mod content;
mod flows;
pub mod item;
mod offers;
mod row;
mod run;
mod segments;
mod subscription;
mod vouchers;

pub use campaigns::PARENTS;
use item::{Each, Item, Paging};
pub use run::{fetch, remember};

use crate::model::Nature;
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::Settings;

/// Rows of one answer; the contract's limit for a page.
pub const MOST_ROWS: usize = 20_000;

/// Every item, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Item> {
    [
        campaigns::ITEMS,
        segments::ITEMS,
        flows::ITEMS,
        content::ITEMS,
        offers::ITEMS,
        subscription::ITEMS,
        vouchers::ITEMS,
        analytics::ITEMS,
    ]
    .into_iter()
    .flatten()
}

/// True where records of this kind come from the inventory.
pub fn is_listed(kind: &str) -> bool {
    all().any(|item| item.kind == kind)
}

/// The items that these settings read.
pub fn read_by(settings: &Settings) -> impl Iterator<Item = &'static Item> {
    all().filter(|item| settings.reads(item))
}

/// True where a resource of these settings reads one list for each id behind this text, so that
/// such ids have to be written down.
pub fn needs(settings: &Settings, prefix: &str) -> bool {
    read_by(settings).any(|item| matches!(item.each, Each::Known(known) if known == prefix))
}

/// What the connector declares of an item.
pub fn spec(settings: &Settings, item: &Item) -> ResourceSpec {
    let (slot, endpoint) = settings.key_of(item);
    ResourceSpec {
        name: item.name.to_owned(),
        kind: item.kind.to_owned(),
        primary_key: item.key.iter().map(|&field| field.to_owned()).collect(),
        nature: Nature::State,
        mode: SyncMode::Full,
        cursor_strategy: strategy(item),
        page_limit: item.page_limit(),
        replay_policy: "The same content in the same run is one observation; another run is another."
            .to_owned(),
        cadence: item.cadence,
        rate_windows: item.windows.iter().map(|&(calls, seconds)| RateWindow { calls, seconds }).collect(),
        schema: row::schema(item),
        endpoint: endpoint.to_owned(),
        slot: Some(slot.name().to_owned()),
    }
}

fn strategy(item: &Item) -> String {
    let paging = match item.paging {
        Paging::Whole => "MoEngage gives the whole list in one answer.",
        Paging::Walk { .. } => {
            "The position in the list and the rows read last. Pages overlap, so that rows which move while the list \
             is read are not missed; where that can't be shown the run ends truncated."
        }
        Paging::Numbered { .. } => {
            "The number of the page. What MoEngage counts is held against what was read; a list that moves is read \
             anew, twice, then the run ends truncated. A row that comes and one that goes in the same run keep the \
             count, so that a third may be missed until the next run."
        }
        Paging::Tokens { .. } => {
            "MoEngage's own opaque cursor, until there is none. A cursor that comes again is named; one that MoEngage \
             no longer takes makes the list be read anew."
        }
    };
    let each = match item.each {
        Each::Once => "",
        Each::Known(_) => " One list for each id that another read has told of, in the order of the ids.",
        Each::Named(_) => " One list for each that the settings name, in the order of their names.",
    };
    let remark = if item.remark.is_empty() { String::new() } else { format!(" {}", item.remark) };
    format!("{paging}{each}{remark}")
}
