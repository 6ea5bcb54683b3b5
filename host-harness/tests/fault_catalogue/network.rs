//! Rows of the fault catalogue about the network between the host and a vendor (N).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    held(
        "N01",
        "nobody listens, or the name is unknown",
        "unreachable, and certain that nothing was sent; tried again with longer and longer waits",
        "a failure before the first byte counted as sent",
    ),
    held(
        "N02",
        "a connection never comes to be",
        "5 seconds for a name and a connection, apart from the time of the exchange; nothing was sent",
        "the connection had no deadline of its own",
    ),
    held(
        "N03",
        "the head of an answer never comes",
        "the deadline of the whole exchange; the outcome is unknown",
        "no deadline of the exchange: the test did not end",
    ),
    held(
        "N04",
        "an answer that drips",
        "one deadline from the name to the last byte, however often something comes",
        "no deadline of the exchange: the test did not end",
    ),
    held(
        "N05",
        "a connection breaks before, in or after the request",
        "whether a byte was handed over decides between not sent and unknown; what is unknown is never sent again blindly",
        "a broken connection counted as not sent",
    ),
    held(
        "N06",
        "an answer is cut",
        "no answer, at whichever byte; no cursor moves",
        "an answer without a stated end was taken",
    ),
    held(
        "N07",
        "bytes after the end of an answer",
        "no answer, and the connection is not used again",
        "bytes after the end were overlooked",
    ),
    held(
        "N08",
        "a success that is a page for people",
        "a failure of the vendor's contract, with a sample; never an empty list",
        "a body that is no list counted as an empty one",
    ),
    held(
        "N09",
        "an answer that inflates without end",
        "caps on bytes and on the ratio, one layer of gzip and nothing else",
        "the cap was not looked at while inflating",
    ),
    held(
        "N10",
        "very many or very long headers",
        "100 headers and 64 KiB; beyond that no answer",
        "the number of headers was not looked at",
    ),
    held(
        "N11",
        "interim answers, answers without a body",
        "interim answers are skipped under the deadline; a change of protocol is no answer",
        "101 counted as an answer",
    ),
    held("N12", "a redirect", "an answer like any other; nobody goes there", "redirects were followed"),
    held(
        "N13",
        "waits in every spelling",
        "whole seconds or one of the three dates, within a second and an hour; anything else says nothing, and the host backs off by itself",
        "a wait was read as a floating number",
    ),
    held(
        "N14",
        "a vendor that fails for long, or every other time",
        "after three failures in a row, or where more than a tenth fail, calls stop for a while and go on one by one; other tenants, families and doors go on",
        "everybody called again when the pause was over; failures were not weighed against successes; a source was asked again at once, and the test did not end",
    ),
    held(
        "N15",
        "503 with the time after which to come back",
        "nobody calls before",
        "only a 429's wait was obeyed",
    ),
    held(
        "N16",
        "a key dies in the middle",
        "what needs it stops where it stands, is told once, and goes on by itself with another key",
        "a refused key was tried again at once, and the test did not end",
    ),
    held(
        "N17",
        "one family of calls is refused",
        "that family stops, and no other",
        "a missing permission paused the whole key",
    ),
    held(
        "N18",
        "what is read is not there",
        "a failure of the configuration, by name; nothing is deleted for it",
        "not found counted as an empty list",
    ),
    held(
        "N27",
        "the local clock is set back or forward",
        "within a run the host's clock is read once and counts on by itself; between two runs, whatever is due is moved back as far as the clock was (`clock-set-back`), and what a jump forward left out is done once; rate windows close for no longer than a window",
        "what was due left where it stood",
    ),
    held(
        "N28",
        "events and states out of order",
        "time, then rank, then id decide; any order of arrival ends alike",
        "the later arrival won field by field",
    ),
    held(
        "N30",
        "a certificate that is expired, for another host or signed by nobody; old TLS",
        "no connection, and nothing of the request leaves; no setting can change that",
        "certificates were not checked",
    ),
    does_not_apply(
        "N31",
        "HTTP/2 closes a connection or refuses a stream",
        "only HTTP/1.1 is spoken, to vendors and at intake",
    ),
    held(
        "N32",
        "the server closes a kept connection just now",
        "a closed connection is not used; what was written is never written again in silence",
        "every connection counted as open",
    ),
    held(
        "N33",
        "the quota is used up",
        "calls are counted ahead; a long wait ends the unit, which goes on at that time where it stood",
        "a wait was cut to an hour",
    ),
];
