//! The rows of the catalogue that this page speaks about: webhooks (W), paging and other answers of sources
//! (N), and values (D).

use super::Row;

const fn row(id: &'static str, happens: &'static str, held: &'static str) -> Row {
    Row { id, happens, held }
}

pub const ROWS: &[Row] = &[
    row(
        "W01",
        "a forged, absent, repeated or garbled credential",
        "401 before the body where the scheme allows it; nothing kept, nothing echoed",
    ),
    row(
        "W02",
        "guessing a secret by the time it takes",
        "digests of both sides are compared, every live secret is, and so is one for an unknown address",
    ),
    row(
        "W03",
        "the same webhook again, soon or after months",
        "soon: taken once and answered alike. After the dedupe horizon (90 days, far \
         longer than any surface's replay window) it is refused. MoEngage signs no time, so there is no window to answer 401 by",
    ),
    row(
        "W04",
        "timestamps at the edge of a window, or beyond numbers",
        "no surface of MoEngage signs a timestamp, so there is none to \
         check. What applies: the 5 minutes by which a vendor's time may lie ahead are exact to the millisecond, and no time overflows",
    ),
    row(
        "W05",
        "two secrets while one is being changed",
        "both are accepted and told apart; a file is read again while the host runs",
    ),
    row(
        "W06",
        "a body that is not text, or not JSON as we would write it",
        "verified and kept byte for byte, before anything reads it",
    ),
    row(
        "W07",
        "a body that is too large or never ends",
        "counted while it comes; 413 and the connection is closed",
    ),
    row(
        "W08",
        "senders that are slow on purpose",
        "deadlines for head and body; idle connections keep nobody out",
    ),
    row(
        "W09",
        "requests that two servers read differently",
        "400 and the connection is closed; nothing follows a chunked body",
    ),
    row(
        "W10",
        "a crash between the answer and the work",
        "2xx only after the body is on disk; killed anywhere, nothing is lost or doubled",
    ),
    row("W11", "the store fails or the disk is full", "503 with a time, never 2xx, nothing kept by halves"),
    row(
        "W12",
        "many senders at once",
        "bounded memory and bounded turns; the declared answer in time, else 503",
    ),
    row("W13", "guessing an address", "128 random bits that name nobody; unknown and known cost alike"),
    row(
        "W14",
        "another content type, or another shape of body",
        "kept raw; the connector judges it and names what it is not",
    ),
    row(
        "W15",
        "the vendor sends again because it did not see our answer",
        "the same ids, so it is done once",
    ),
    row(
        "N19",
        "one item of a batch is no good",
        "it is put aside with its reason and can be requeued; the others go on",
    ),
    row(
        "N20",
        "a success whose body says failure, or is no body of this call",
        "a named failure; never an empty list",
    ),
    row(
        "N21",
        "a page token that repeats, or a list that goes round",
        "the run ends by name and keeps what it read",
    ),
    row(
        "N22",
        "rows come and go between two pages",
        "pages overlap; a list that never keeps still ends *truncated*",
    ),
    row(
        "N23",
        "an item or a page comes twice",
        "one identity, decided in the transaction that moves the cursor",
    ),
    row(
        "N24",
        "a page that is empty and goes on, a list that is empty",
        "read to the end; an empty answer to a wrong filter is named",
    ),
    row("N25", "pages without end", "a run has a cap; the next one goes on from the committed cursor"),
    row(
        "N26",
        "the vendor's clock is an hour off; a span's rim",
        "a time that lies ahead is not trusted, order is the vendor's own, \
         nothing is asked for *since the host's now*; a span has its first instant and not its last. Times have no zone of their own here, \
         so a change to summer time is D14",
    ),
    row("D01", "bytes that are no UTF-8", "read as far as they go; what is lost is counted"),
    row("D02", "nesting without end", "100 levels; refused without using the stack"),
    row(
        "D03",
        "numbers longer than a double",
        "ids are texts with every digit or are refused; a long whole number travels as text",
    ),
    row("D04", "NaN and Infinity", "no JSON, refused by name coming in and going out"),
    row("D05", "a key twice in one object", "refused where it stands"),
    row("D06", "half a surrogate, a byte order mark, bytes after the end", "no JSON, refused by name"),
    row(
        "D07",
        "NUL in a text",
        "never part of an id or an address; in other texts it is kept as it came. The store takes it",
    ),
    row(
        "D08",
        "values of megabytes, thousands of fields",
        "capped where they come in, answered by name, never cut in silence",
    ),
    row(
        "D09",
        "addresses that are none, or look like another",
        "shape only: no machine's address, no unseen characters; a look-alike is another person",
    ),
    row(
        "D10",
        "letter case, dots and plus signs in addresses",
        "letter case is Brevo's rule; nothing else is guessed",
    ),
    row(
        "D14",
        "dates in other formats, without zone, or on no calendar",
        "one strict reader, UTC where the vendor says so; else no date",
    ),
    row("D16", "missing, null and empty", "three things from the source to Brevo; missing never clears"),
];
