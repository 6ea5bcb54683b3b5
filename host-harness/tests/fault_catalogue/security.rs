//! Rows of the fault catalogue about attacks (S).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    held(
        "S01",
        "a setting that leads somewhere else",
        "hosts come from the manifest's closed sets, or from the operator; no spelling of an address is a value",
        "a variable was taken without looking at its set",
    ),
    held(
        "S02",
        "a public name that leads to a private address, now or at the next look",
        "one look for each connection; every address is judged, and exactly those that passed are dialled",
        "private addresses were not judged",
    ),
    held(
        "S03",
        "a redirect to a private address",
        "an answer like any other; nobody goes there",
        "redirects were followed",
    ),
    held(
        "S04",
        "a guest writes a second request into the first",
        "the host builds the URL and the framing; headers are granted by name, and values are one line",
        "path, query and values of headers were passed on as they came",
    ),
    held(
        "S05",
        "a guest carries data out to a host that it may call",
        "methods and path prefixes are granted, calls and bytes of a unit are counted; within that it can't be stopped",
        "calls and bytes were not counted",
    ),
    held(
        "S06",
        "a secret, or a person, in what is printed, logged, stored or answered",
        "secrets never enter a guest, not even where a vendor says them back; a scan looks for both in every spelling, and core dumps are off",
        "the headers of a webhook were logged; an answer was handed over with the credential in it",
    ),
    held(
        "S07",
        "a tenant reaches what is another's, by names that look alike or join to one text, or by what it makes happen",
        "the whole history of a tenant (rows, requests, answers, letters, log) is the same with and without a hostile one beside it",
        "the storage read without its installation; letters listed without a look at the tenant; versions counted over the whole file",
    ),
    held(
        "S08",
        "a guest finds what another left in memory",
        "a fresh instance for every call, without a pool",
        "the body of the call before was handed over as well",
    ),
    does_not_apply(
        "S09",
        "a record's text that a browser would run",
        "there is no page for browsers; operators read a terminal or JSON",
    ),
    held(
        "S10",
        "a record's text that drives the operator's terminal",
        "control characters and changes of direction are escaped wherever something is shown",
        "C1 controls passed",
    ),
    does_not_apply(
        "S11",
        "another site drives the operator's page",
        "there is no page and no listener for operators: commands read the store's file",
    ),
    does_not_apply(
        "S12",
        "an operator of one tenant opens a letter of another by its id",
        "there is one kind of operator: whoever may read the store's file; no listener answers for tenants",
    ),
    held(
        "S13",
        "a name that is a path",
        "names are 1 to 64 of a-z, 0-9 and -; files of the spool are named by digests",
        "slashes and dots passed in names",
    ),
    held(
        "S14",
        "an archive that unpacks without end, or holds many things",
        "caps on bytes and ratio; one plain file or nothing",
        "the cap was not looked at while inflating",
    ),
    held(
        "S15",
        "a secret is changed while calls are under way",
        "both values count inward until the operator's word, what is under way ends with the one it took, and the change is seen without a restart; so is a change of the key that seals",
        "the previous value was forgotten at once",
    ),
    held(
        "S16",
        "the files of the host are stolen, or changed",
        "secrets are sealed under a key that lies elsewhere; whatever is changed, swapped, taken out or put back is refused by name",
        "entries were not bound to their names; the file was not bound as a whole",
    ),
    held(
        "S17",
        "a crate that is bad, banned or older than its mend",
        "all versions are locked; floors under wasmtime, and features that must stay compiled in, are a test; licences, bans, sources and (from a copy) advisories of every lock file are held by `.ci/supply-chain`",
        "MIT taken off the list of licences (the script does it in every run); an older wasmtime and a banned crate in a lock file",
    ),
    held(
        "S18",
        "a swapped component, or compiled code that was tampered with",
        "the manifest may state the component's digest, which is compared before anything else; compiled code lies in a directory that only the \
         host's user can use, named by component and engine, under a sum of both",
        "the digest is not compared; the sum of compiled code is not checked",
    ),
    does_not_apply(
        "S19",
        "a pattern from the settings that takes for ever",
        "no setting is a pattern: texts are compared as they are",
    ),
    does_not_apply(
        "S20",
        "tenants' words as labels of metrics",
        "no metrics are exported; figures are asked for by command",
    ),
    held(
        "S21",
        "a line of the log is forged",
        "what comes from outside is one field on one line; there is no audit table that could be changed",
        "a webhook's text was logged as it came",
    ),
    held(
        "S22",
        "one tenant takes all there is of something",
        "everything that can be counted has a bound for each tenant ([quotas](architecture.md#quotas-and-turns)); beyond it is refused with a time or held back, and nothing is lost",
        "each bound taken away: webhooks, requests, outbox, held, letters, jobs, keys, configuration",
    ),
    held(
        "S23",
        "a listener that everybody reaches",
        "intake listens on loopback, or where the operator says that a proxy ends TLS before it; there is no other listener",
        "any address was taken",
    ),
    held(
        "S24",
        "data that is read as a statement",
        "values are bound; texts of statements are joined of constants only, which a test reads from the sources",
        "a statement was joined with a value",
    ),
    held(
        "S25",
        "a guest measures what it must not see",
        "its clocks stand still, there are no threads, and random numbers are seeded",
        "the monotonic clock went on",
    ),
];
