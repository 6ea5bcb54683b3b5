//! Where MoEngage's OpenAPI files are not what is sent and answered, each with the reason.

use serde_json::Value;

/// Calls whose documented rate window takes more requests than a test sends.
pub const WIDE_WINDOWS: &[&str] = &[];

/// One point, or the same point of many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation {
    /// Beginning of the call; empty for every call.
    pub call: &'static str,
    /// What is found there: the rule of a violation, or what differs; the beginning of it.
    pub what: &'static str,
    /// Where; `%` stands for any text.
    pub at: &'static str,
    /// The sentence that explains it.
    pub reason: &'static str,
}

impl Deviation {
    pub fn excuses(&self, found: &Value) -> bool {
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        fits(self.at, text("at"))
            && text("call").starts_with(self.call)
            && (text("rule").starts_with(self.what) || text("what").starts_with(self.what))
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('%') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| fits(rest, &text[at..]))
        }),
    }
}

macro_rules! deviations {
    ($($call:literal, $what:literal, $at:literal => $reason:literal;)*) => {
        &[$(Deviation { call: $call, what: $what, at: $at, reason: $reason }),*]
    };
}

/// Found by holding exchanges against MoEngage's files.
pub const OF_EXCHANGES: &[Deviation] = deviations! {
    "", "undocumented-header", "request/headers/x-moe-request-id" =>
        "The host names each attempt; families before v5 don't know the header, and nothing depends on it.";
    "", "undocumented-header", "request/headers/moe-appkey" =>
        "The files want it on some calls and not on others; where it is missing the answer may be 401, so it always goes along.";
    "", "undocumented-header", "answer/%/headers/x-ratelimit-%" =>
        "MD:api/rate-limits.mdx has these headers on every answer of a limited call; most files leave them out.";
    "", "undocumented-header", "answer/%/headers/x-moe-request-id" =>
        "The file of flows says that v5 echoes it, the other files of v5 don't mention it.";
    "", "undocumented-status", "answer/status/403" =>
        "An address that is not listed is refused with 403 at every call (MD:user-guide/settings/account/security/ip-whitelisting-in-moengage.mdx).";
    "", "undocumented-status", "answer/status/409" =>
        "A workspace without the family's key answers 409 (MD:api/data/data-overview.mdx).";
    "", "undocumented-status", "answer/status/429" =>
        "The limits of the call are documented, its 429 is not.";
    "POST /v5/campaigns/search", "body", "request/body/campaign_fields/created_date/%_date" =>
        "The schema says date-time, the file's own example is one without a zone, which that format does not allow.";
    "POST /v5/campaigns/search", "body", "answer/200/body/data/campaigns/*/basic_details" =>
        "Two shapes as `oneOf` that share most members: the file's own examples fit both.";
    "POST /core-services/v1/campaigns/search", "body", "answer/200/body/*/status" =>
        "Upper case in the schema, `Active` in every example.";
    "POST /core-services/v1/campaigns/search", "body", "answer/401/body/error/details/%" =>
        "The example of a 401 nests a list with a code where the schema has a text.";
    "POST /v1/customers/export", "undocumented-query", "request/query/project_code" =>
        "Workspaces with projects need it (MD:user-guide/data/key-concepts/portfolio-data-ingestion-and-management.mdx).";
    "POST /v1/customers/export", "body", "answer/401/body" =>
        "Without MOE-APPKEY the family answers `HeaderMissing`, as the import status shows.";
    "POST /v1/customers/export", "body", "answer/403/body%" =>
        "The refusal of an address has a shape of its own, the same at every call.";
    "POST /v1.0/data/fileimports/import/status", "body", "request/body/date/%_date" =>
        "The schema says date-time; the example and the errors say DD/MM/YYYY, with the format beside it.";
    "POST /v1.0/data/fileimports/import/status", "body", "request/body/offset" =>
        "A number in the schema, a text in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/200/body/data/*/created_at" =>
        "A number in the schema, a time without a zone in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/200/body/data/*/last_run_status" =>
        "A date-time in the schema, a status in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/200/body/more_files" =>
        "A text in the schema, a truth value in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/400/body" =>
        "A body that is no object is refused in the family's own shape.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/401/body" =>
        "The schema only has the missing header; a wrong key is answered as at every Data call (MD:api/data/data-overview.mdx).";
};

/// Found by comparing `docs/moengage-openapi.yaml` with MoEngage's files.
pub const OF_DESCRIPTIONS: &[Deviation] = deviations! {
    "", "only ours has it", "answer/4%" =>
        "A family refuses in one way, though not each of its calls shows each status; and every call may be refused by address, key or rate.";
    "", "only ours has it", "answer/5%" =>
        "As for the other refusals: one shape for a family.";
    "", "only ours has it", "request/header/x-moe-request-id" =>
        "The host names each attempt, at every call.";
    "", "only ours has it", "request/header/moe-appkey" =>
        "It always goes along, though some files don't ask for it.";
    "POST /v1/customers/export", "only ours has it", "request/query/project_code" =>
        "Workspaces with projects need it (MD:user-guide/data/key-concepts/portfolio-data-ingestion-and-management.mdx).";
    "POST /v1.0/data/fileimports/import/status", "theirs does not allow the type string", "request/body/offset" =>
        "A number in the schema, a text in the example.";
};
