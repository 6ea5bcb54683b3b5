//! Which call a request is: the paths that this stand-in knows.

use super::account::{Account, account};
use super::processes::REPORTS;
use crate::http::{Reply, Request};

/// One call. In its path `{..}` stands for any part that is not empty.
pub(super) struct Route {
    method: &'static str,
    pub(super) path: &'static str,
    pub(super) call: fn(&mut Account, &Request) -> Reply,
}

const fn route(method: &'static str, path: &'static str, call: fn(&mut Account, &Request) -> Reply) -> Route {
    Route { method, path, call }
}

/// The first that fits holds: fixed parts stand before `{..}`.
const ROUTES: &[Route] = &[
    route("GET", "/v3/account", |_, _| account()),
    route("GET", "/v3/contacts/attributes", |account, _| account.attributes.list()),
    route("POST", "/v3/contacts/attributes/{category}/{name}", Account::create_attribute),
    route("GET", "/v3/contacts/folders", |account, request| account.list_folders(request)),
    route("POST", "/v3/contacts/folders", Account::create_folder),
    route("GET", "/v3/contacts/lists", |account, request| account.list_lists(request)),
    route("POST", "/v3/contacts/lists", Account::create_list),
    route("GET", "/v3/contacts/lists/{id}", |account, request| account.read_list(request)),
    route("GET", "/v3/contacts/lists/{id}/contacts", |account, request| account.list_members(request)),
    route("POST", "/v3/contacts/lists/{id}/contacts/add", |account, request| {
        account.change_list(request, true)
    }),
    route("POST", "/v3/contacts/lists/{id}/contacts/remove", |account, request| {
        account.change_list(request, false)
    }),
    route("POST", "/v3/contacts/import", Account::import_contacts),
    route("GET", "/v3/contacts", |account, request| account.list_contacts(request)),
    route("POST", "/v3/contacts", Account::create_contact),
    route("PUT", "/v3/contacts/{identifier}", Account::update_contact),
    route("GET", "/v3/contacts/{identifier}", Account::read_contact),
    route("DELETE", "/v3/contacts/{identifier}", Account::delete_contact),
    route("POST", "/v3/events", Account::create_event),
    route("POST", "/v3/events/batch", Account::create_events),
    route("GET", "/v3/events", Account::list_events),
    route("POST", "/v3/smtp/email", Account::send_mail),
    route("GET", "/v3/smtp/emails", |account, request| account.list_mails(request)),
    route("GET", "/v3/smtp/statistics/events", |account, request| account.list_mail_events(request)),
    route("DELETE", "/v3/smtp/log/{identifier}", Account::delete_mail_log),
    route("GET", "/v3/smtp/blockedContacts", |account, request| account.list_blocked(request)),
    route("POST", "/v3/transactionalSMS/send", Account::send_sms),
    route("POST", "/v3/transactionalSMS/sms", Account::send_sms_at_once),
    route("GET", "/v3/transactionalSMS/statistics/events", |account, request| {
        account.list_sms_events(request)
    }),
    route("GET", "/v3/emailCampaigns/{id}", |account, request| account.read_campaign(request)),
    route("POST", "/v3/emailCampaigns/{id}/sendNow", Account::send_campaign),
    route("GET", "/v3/processes", |account, request| account.list_processes(request)),
    route("GET", "/v3/processes/{id}", |account, request| account.read_process(request)),
    route("POST", "/v3/products", Account::write_product),
    route("POST", "/v3/products/batch", Account::write_products),
    route("GET", "/v3/products/{id}", |account, request| account.read_product(request)),
    route("POST", "/v3/objects/{type}/batch/upsert", Account::upsert_records),
    route("GET", "/v3/objects/{type}/records", |account, request| account.list_records(request)),
    route("POST", "/v3/crm/notes", Account::create_note),
    route("GET", "/v3/crm/notes", |account, request| account.list_notes(request)),
    route("POST", "/v3/crm/tasks", Account::create_task),
    route("GET", "/v3/crm/tasks", |account, request| account.list_tasks(request)),
    route("GET", "/v3/crm/tasktypes", |account, request| account.list_task_types(request)),
    route("GET", REPORTS, |account, request| account.read_report(request)),
];

/// The call that a request is.
pub(super) fn find(method: &str, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.method == method && fits(route.path, path))
}

fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    template.split('/').all(|wanted| {
        parts.next().is_some_and(|part| part == wanted || (wanted.starts_with('{') && !part.is_empty()))
    }) && parts.next().is_none()
}
