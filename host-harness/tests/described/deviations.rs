//! Where MoEngage's OpenAPI files are not what is sent and answered, each with the reason.

use super::brevo::deviation::{Deviation, deviations};

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
    "", "body", "answer/403/body%" =>
        "The refusal of an address has a shape of its own, the same at every call.";
    "", "undocumented-status", "answer/status/401" =>
        "Some files show no 401; a key is refused all the same.";
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
    "POST /core-services/v1/campaigns/", "body", "answer/401/body/error/details/%" =>
        "The example of a 401 nests a list with a code where the schema has a text.";
    "POST /v1/customers/export", "undocumented-query", "request/query/project_code" =>
        "Workspaces with projects need it (MD:user-guide/data/key-concepts/portfolio-data-ingestion-and-management.mdx).";
    "POST /v1/customers/export", "body", "answer/401/body" =>
        "Without MOE-APPKEY the family answers `HeaderMissing`, as the import status shows.";
    "POST /v1.0/data/fileimports/import/status", "body", "request/body/date/%_date" =>
        "The schema says date-time; the example and the errors say DD/MM/YYYY, with the format beside it.";
    "POST /v1.0/data/fileimports/import/status", "body", "request/body/offset" =>
        "A number in the schema, a text in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/200/body/%" =>
        "Times, the status of the last run and more_files have another type in the schema than in the example.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/400/body" =>
        "A body that is no object is refused in the family's own shape.";
    "POST /v1.0/data/fileimports/import/status", "body", "answer/401/body" =>
        "The schema only has the missing header; a wrong key is answered as at every Data call (MD:api/data/data-overview.mdx).";
    "GET /v2/email-templates", "security", "request/headers/authorization" =>
        "The file demands a scheme that it does not define beside Basic; MOE-APPKEY is what it means.";
    "GET /v3/custom-segments", "body", "answer/200/body/data/*/created_time" =>
        "A date-time in the schema, one without a zone in the example.";
    "POST /v1.0/custom-templates/", "body", "answer/200/body/data/*/created_at" =>
        "A date-time in the schema, one without a zone in the example.";
    "POST /v1.0/custom-templates/", "body", "answer/200/body/data/*/updated_at" =>
        "A date-time in the schema, one without a zone in the example.";
    "POST /v1.0/custom-templates/push/search", "body", "answer/200/body/data/*/%/basic_details%" =>
        "The example has an empty image and an empty block for the platform that a template is not for; the schema allows neither.";
    "POST /v1.0/custom-templates/", "body", "answer/429/body" =>
        "The examples have a type and an id beside the error, the schemas don't.";
    "GET /campaign_reports/", "missing-body", "answer/401/body" =>
        "An object without members in the schema and no example: nothing is answered.";
    "POST /v1.0/custom-templates/push/search", "body", "answer/400/body" =>
        "The example has a code, the schema doesn't.";
    "POST /v1.0/custom-templates/sms/search", "body", "answer/400/body" =>
        "Two shapes in the file's examples, one in its schema.";
    "POST /v1/external/campaigns/content-blocks/search", "body", "answer/200/body/data/*" =>
        "Label and status are in the example only.";
};

/// Found by comparing `docs/moengage-openapi.yaml` with MoEngage's files.
pub const OF_DESCRIPTIONS: &[Deviation] = deviations! {
    "", "only ours has", "answer/4%" =>
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
    "GET /v5/analytics/dashboards/{dashboard_id}/charts/{chart_id}", "only ours has it", "answer/200/data/*/grouped_by" =>
        "In the examples only; the schema leaves such members open.";
    "POST /v1/external/campaigns/content-blocks/search", "only ours has it", "answer/200/data/*/label" =>
        "In the example only.";
    "POST /v1/external/campaigns/content-blocks/search", "only ours has it", "answer/200/data/*/status" =>
        "In the example only, and among the filters.";
    "POST /v1.0/custom-templates/sms/search", "only ours has it", "answer/200/data/*/meta_info/template_source" =>
        "One shape for three kinds of templates; the files of the other two have it.";
    "GET /campaign_reports/rest_api/{app_id}/{filename}", "only theirs has application/json", "answer/401" =>
        "An object without members, in no example.";
    "GET /campaign_reports/rest_api/{app_id}/{filename}", "theirs requires it", "request/header/signature" =>
        "A scheme of security in ours, a parameter beside that in theirs.";
};
