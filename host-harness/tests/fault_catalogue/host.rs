//! Rows of the fault catalogue about the host and its store (H).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    held(
        "H02",
        "the disk is full",
        "the transaction fails as a whole, intake answers 503, reads go on, `store-disk-full` with its remedy is logged; it passes by itself",
        "a full disk taken for a reason to give the file up",
    ),
    held(
        "H03",
        "a limit on the size of files or a quota is met",
        "as with a full disk (`store-io`); the signal that ends a process then is ignored",
        "the signal not ignored: the host died",
    ),
    held(
        "H04",
        "a sync fails, in a transaction or when the log is copied into the file",
        "the file is never written or synced again (`store-sync-failed`), intake answers 503 and `serve` ends; a start reads the whole file first",
        "a failed sync taken for any other error; a failed sync while the log is copied not looked at",
    ),
    held(
        "H05",
        "reads and writes fail now and then, or half",
        "each is an error with a code, and nothing is damaged or acknowledged that is not kept",
        "a webhook acknowledged although its transaction failed",
    ),
    held(
        "H06",
        "power is cut, and what was not synced is lost, torn or out of order",
        "cut at every write of a history: whatever was acknowledged is there, and nothing is half there",
        "transactions that don't wait for the disk",
    ),
    held(
        "H07",
        "a reader stays long, or several processes write",
        "nobody waits for a reader, and the log is used anew once it ends; from 256 MiB on an operator is told (`store-log-long`); writers take turns",
        "the log never copied",
    ),
    held(
        "H08",
        "a page is damaged, the log is cut off, the file is of something else",
        "a start reads the whole file and refuses with `store-corrupt` or `store-foreign`, leaving it as it is; a cut log leaves what came before. A bit that turns within a value is not noticed: SQLite keeps no sums of pages",
        "the file not read at the start; a foreign database taken for a store",
    ),
    held(
        "H09",
        "two hosts are started on one file, the first one held up meanwhile",
        "the second is refused (`store-in-use`); a host that was stopped and goes on has the file still",
        "the lock not looked at",
    ),
    held(
        "H10",
        "the data directory lies on a network file system",
        "refused (`store-on-network`); of FUSE nobody can tell, which is logged",
        "every file system taken for a local one",
    ),
    does_not_apply(
        "H11",
        "two hosts on one Postgres, one of them paused or failing over",
        "the store is one SQLite file of one host; there is no Postgres",
    ),
    does_not_apply("H12", "Postgres ends a transaction for its own reasons", "there is no Postgres"),
    does_not_apply(
        "H13",
        "a queue table of Postgres bloats behind a long transaction",
        "there is no Postgres",
    ),
    held(
        "H14",
        "the host may open too few files, or have too little memory",
        "the limit of files is raised as far as the system allows, and a start refuses what is still too little (`too-few-files`, `too-little-memory`); met later, connections wait and nobody dies",
        "limits not looked at",
    ),
    held(
        "H15",
        "runs are missed, overlap, all begin at the full hour, or summer time begins or ends",
        "a resource has one row: missed runs are one, one runs at a time, the next is due its cadence after the last and up to a tenth later; cadences are durations in UTC",
        "no jitter; jobs of one resource side by side",
    ),
    held(
        "H16",
        "a job kills the host whenever it runs",
        "attempts are counted when it is claimed; after 12 deaths it is put aside and shown, because three may be an operator's restarts",
        "attempts not counted at the claim",
    ),
    held(
        "H17",
        "one tenant floods the host, or has units that take long",
        "tenants take turns, a unit each in a round; at most two units of one at a time",
        "the oldest first over all tenants; no cap in flight",
    ),
    held(
        "H18",
        "dead letters are replayed twice, and all at once",
        "each letter once, under the keys that its actions always had, through the same rate windows",
        "a closed letter requeued again",
    ),
    held(
        "H19",
        "the host is told to stop under load",
        "no request and no claim is begun, what is under way is finished, 2xx is what was kept",
        "ended at once, calls in the middle",
    ),
    held(
        "H20",
        "power is cut between or within the steps of the schema; the file is of a newer program",
        "each step is one transaction; a newer file is refused and left as it is",
        "steps without a transaction; a newer file opened",
    ),
    held(
        "H21",
        "a backup is made while the host writes, and put back later",
        "`harness restore` leaves the store in doubt: nothing is taken in or sent until an operator confirms, and what can't be undone is looked for at Brevo first; a file put in place by hand is noticed where the host was started since",
        "the doubt without its effects: events and mails were doubled, and an opt-out undone; the mark beside the file not looked at",
    ),
    does_not_apply(
        "H22",
        "two hosts whose clocks differ hold leases in one database",
        "one host owns the file, so no lease is compared between two clocks",
    ),
];
