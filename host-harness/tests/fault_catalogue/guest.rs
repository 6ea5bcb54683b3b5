//! Rows of the fault catalogue about the component that runs in the host (G).

use super::{Guarded, held};

pub const ROWS: &[Guarded] = &[
    held(
        "G01",
        "a trap: unreachable code, out of bounds, a division by zero, a panic, an exit",
        "the unit has no outcome and its input is kept raw; the instance is dropped and never used again, also between two records of one unit",
        "an instance that trapped is used for the next record",
    ),
    held(
        "G02",
        "a guest that never ends: in a call, in its start, in a `memory.copy` of its whole memory, while the host hands it a value",
        "wall clock and processor time are looked at every 10 ms at each loop and function, while it is instantiated too; a function with \
         more than 1,024 bulk instructions, which nothing interrupts, is not loaded. Not held inside one process: a function without a loop \
         that calls WASI very often is ended only where it ends",
        "time is not looked at while a guest runs; bulk instructions are not counted",
    ),
    held(
        "G03",
        "a memory bomb: by growing, by asking first, by many memories, tables or instances",
        "64 MiB over all memories, few memories, tables and instances; the process stays small however often it is tried",
        "the store has no limiter",
    ),
    held(
        "G04",
        "arguments or results of a gigabyte or of a million elements, and lengths that are lies",
        "what crosses in a call is bounded before the host makes room for it, and counted again afterwards",
        "what crosses is not bounded",
    ),
    held(
        "G05",
        "recursion without end",
        "a fault of its unit or record, within 512 KiB of stack",
        "a stack of 2 MB",
    ),
    held(
        "G06",
        "a flood of log lines, with bytes that forge lines or move a cursor",
        "1,000 lines, 4 KiB each, 256 KiB in a unit, and a line that says how many were cut; control and hidden characters are escaped; \
         what is printed goes nowhere",
        "control characters pass; lines are not bounded together",
    ),
    held(
        "G07",
        "handles that are never dropped",
        "1,000 handles and 1,000 host resources",
        "neither is limited",
    ),
    held(
        "G08",
        "a guest that sleeps, or makes the host wait",
        "WASI's timers end the call; waiting in imports counts for the wall clock and not for processor time",
        "timers are those of WASI; processor time is not looked at",
    ),
    held(
        "G09",
        "another's id, workspace or kind; a cursor of another resource, of other settings, of an unknown version",
        "every value is checked against the profile; tenants have no name inside; a cursor is bound to installation, resource and source \
         settings by the host",
        "identities are not checked; versions of cursors are not checked; the source of a cursor is not compared",
    ),
    held(
        "G10",
        "the same unit comes to something else when it is run again",
        "clocks stand still and random numbers are seeded, so it doesn't; keys of effects are the host's, and what was accepted once stays as it was",
        "random numbers are the system's",
    ),
    held(
        "G11",
        "the same record again and again, a million things in a unit",
        "accepted once; more than 20,000 records or 1,000 notes lose the unit",
        "records and notes are not counted",
    ),
    held(
        "G12",
        "random bytes by the MiB",
        "64 KiB in a request, from a seed of component and settings",
        "requests are not limited",
    ),
    held(
        "G13",
        "a guest that calls the host while the host hands it a value; a call that is cut in the middle; a unit whose reads are always overtaken",
        "the first is a trap; calls are synchronous, so none is dropped half way: one that is out of time has no outcome, and its instance \
         goes with it; the last waits like any passing failure",
        "a unit that was overtaken is left as running",
    ),
    held(
        "G14",
        "a file that is no component, or a damaged one",
        "refused by code, or run under the limits; never a panic. At most 8 MiB, and nothing of a tenant's is compiled or deserialised: \
         components are the operator's. Not held: time and memory of compiling",
        "a file is not looked at before it is compiled",
    ),
    held(
        "G15",
        "imports beyond the world, a profile beyond the manifest",
        "refused with the list before anything is compiled; each grant that is missing is named",
        "every import passes; slots are not compared with the manifest",
    ),
    held(
        "G16",
        "another version of the connector, and back again",
        "a cursor of a version that the component doesn't list is refused by name and kept; whoever can read it goes on, or the operator begins \
         anew and nothing is accepted twice",
        "the version is not compared",
    ),
];
