//! Every limit that holds a guest, in one table.
//!
//! The first group is the contract's (`wit/v0.1`), which a connector's author may rely on; a test
//! holds the two together. The second group is the host's own and far below wasmtime's defaults.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Limits of one unit of work. Bytes unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // [`Limits::rows`] says what each is and why
pub struct Limits {
    pub memory: usize,
    pub wall: Duration,
    pub boundary: usize,
    pub records: usize,
    pub actions: usize,
    pub json: usize,
    pub text: usize,
    pub http_calls: u32,
    pub http_received: usize,
    pub storage_key: usize,
    pub storage_value: usize,
    pub log_entries: usize,
    pub log_entry: usize,
    pub cursor: usize,
    pub jobs: usize,
    pub request_body: usize,
    pub response_body: usize,
    pub object_read: u32,
    pub storage_list: usize,
    pub sample: usize,

    pub component: usize,
    pub bulk_instructions: usize,
    pub cpu: Duration,
    pub map_wall: Duration,
    pub log_total: usize,
    pub stack: usize,
    pub instances: usize,
    pub memories: usize,
    pub tables: usize,
    pub table_elements: usize,
    pub handles: usize,
    pub resources: usize,
    pub random: u64,
    pub storage_writes: usize,
    pub storage_total: usize,
    pub message: usize,
    pub notes: usize,
    pub aliases: usize,
    pub surface_body: u32,
}

/// One row, as shown to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is limited.
    pub what: &'static str,
    /// The limit with its unit.
    pub limit: String,
    /// Why it is there or why it is this large.
    pub why: &'static str,
}

impl Limits {
    /// What a running host uses.
    pub const DEFAULT: Self = Self {
        memory: 64 * MIB,
        wall: Duration::from_secs(30),
        boundary: 16 * MIB,
        records: 20_000,
        actions: 64,
        json: 256 * KIB,
        text: 512,
        http_calls: 64,
        http_received: 32 * MIB,
        storage_key: KIB,
        storage_value: MIB,
        log_entries: 1_000,
        log_entry: 4 * KIB,
        cursor: 4 * KIB,
        jobs: 100,
        request_body: 8 * MIB,
        response_body: 10 * MIB,
        object_read: 4 * MIB as u32,
        storage_list: 1_000,
        sample: KIB,

        component: 8 * MIB,
        bulk_instructions: 1_024,
        cpu: Duration::from_secs(5),
        log_total: 256 * KIB,
        map_wall: Duration::from_secs(2),
        stack: 512 * KIB,
        instances: 16,
        memories: 4,
        tables: 16,
        table_elements: 10_000,
        handles: 1_000,
        resources: 1_000,
        random: 64 * KIB as u64,
        storage_writes: 16 * MIB,
        storage_total: 256 * MIB,
        message: KIB,
        notes: 1_000,
        aliases: 32,
        surface_body: 32 * MIB as u32,
    };

    /// The table, the contract's rows first and in its order.
    pub fn rows(&self) -> Vec<Row> {
        let row = |what, limit, why| Row { what, limit, why };
        vec![
            row("linear memory", bytes(self.memory), "all memories of an instance together"),
            row("wall clock of a unit", time(self.wall), "instantiation, guest and imports together"),
            row(
                "bytes of one argument or result crossing the boundary",
                format!("{}, or the body cap of the surface if larger", bytes(self.boundary)),
                "bounds what the host allocates for the guest; the largest http response has to cross",
            ),
            row("records in a page or webhook", count(self.records), "bounds one commit"),
            row("actions of one record", count(self.actions), "bounds one record's share of a commit"),
            row(
                "size of one record body or action payload",
                bytes(self.json),
                "bounds a row of the outbox and a dead letter",
            ),
            row("ids, names, codes", bytes(self.text), "they become keys and labels"),
            row(
                "http calls in a unit",
                format!("{}, together {} received", self.http_calls, bytes(self.http_received)),
                "a unit is one page, not a crawl",
            ),
            row(
                "storage key / value",
                format!("{} / {}", bytes(self.storage_key), bytes(self.storage_value)),
                "state, not a data store",
            ),
            row(
                "log",
                format!("{} entries of {}", count(self.log_entries), bytes(self.log_entry)),
                "a line says how many were cut",
            ),
            row("cursor", bytes(self.cursor), "committed with every page"),
            row("jobs of a unit", count(self.jobs), "a guest can't flood the schedule"),
            row("body of an http request", bytes(self.request_body), "import batches are smaller"),
            row("body of an http response", bytes(self.response_body), "after decompression"),
            row("one read of an object", bytes(self.object_read as usize), "a file is read in pieces"),
            row("keys of one storage list", count(self.storage_list), "the rest is asked for after"),
            row("sample in a vendor-contract failure", bytes(self.sample), "enough to see what came"),
            row("component file", bytes(self.component), "compiling is not bounded otherwise"),
            row(
                "bulk instructions in one function of a component",
                count(self.bulk_instructions),
                "each touches up to all memory, and nothing interrupts a function between two of them",
            ),
            row(
                "processor time of one call",
                time(self.cpu),
                "a guest that computes without end holds a thread no longer; waiting for imports is not counted",
            ),
            row(
                "wall clock of one map-record",
                time(self.map_wall),
                "one endless record leaves time for the others",
            ),
            row("log of a unit, all entries", bytes(self.log_total), "what is over is cut and counted"),
            row("stack", bytes(self.stack), "deep recursion ends as a typed fault"),
            row("core instances", count(self.instances), "wasmtime allows 10,000"),
            row("memories", count(self.memories), "wasmtime allows 10,000"),
            row("tables", count(self.tables), "wasmtime allows 10,000"),
            row("elements of a table", count(self.table_elements), "wasmtime has no limit"),
            row("handles", count(self.handles), "wasmtime allows 100,000"),
            row("host resources", count(self.resources), "wasmtime allows 1,000,000"),
            row("one request for random bytes", bytes(self.random as usize), "WASI allows 64 MiB"),
            row("storage written by a unit", bytes(self.storage_writes), "bounds one commit"),
            row("storage of an installation", bytes(self.storage_total), "keys and values together"),
            row("a message or remedy", bytes(self.message), "one sentence; longer ones are cut"),
            row("notes or rejected parts of a unit", count(self.notes), "notes; rejects count as records"),
            row("aliases of a person", count(self.aliases), "each is a row of the identity table"),
            row("body cap of a surface", bytes(self.surface_body as usize), "held in memory on arrival"),
        ]
    }
}

fn bytes(n: usize) -> String {
    match n {
        n if n >= MIB && n.is_multiple_of(MIB) => format!("{} MiB", n / MIB),
        // The contract speaks of names in bytes up to a KiB.
        n if n >= KIB && n.is_multiple_of(KIB) => format!("{} KiB", n / KIB),
        n => format!("{n} bytes"),
    }
}

fn time(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{} s", duration.as_secs()),
        _ => format!("{} ms", duration.as_millis()),
    }
}

fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_as_much_as_the_table_says() {
        assert_eq!(Limits::DEFAULT.storage_total as u64, crate::quotas::Quotas::DEFAULT.storage_bytes);
    }

    #[test]
    fn the_contract_and_the_host_state_the_same_limits() {
        let world = include_str!("../../../wit/v0.1/world.wit");
        let documented: Vec<(&str, &str)> = world
            .lines()
            .filter_map(|line| line.strip_prefix("/// | ")?.strip_suffix(" |")?.split_once(" | "))
            .filter(|(what, _)| *what != "what")
            .collect();
        assert!(documented.len() >= 10, "the table of limits is not where this test looks");
        let rows = Limits::DEFAULT.rows();
        let built: Vec<(&str, &str)> = rows.iter().map(|row| (row.what, row.limit.as_str())).collect();
        assert_eq!(documented, built[..documented.len()]);
    }
}
