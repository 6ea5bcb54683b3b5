//! What Brevo answers, through every reader of an answer.

use host_harness::brevo::crm::Shelf;
use host_harness::brevo::{
    account, attributes, campaigns, contacts, crm, errors, events, imports, lists, mail_log, mails, objects,
    products, texts,
};
use host_harness::world::HttpResponse;

use super::{first_line, headers};

/// A line with the status, lines with headers, an empty line, and a body.
pub fn brevo_answers(data: &[u8]) {
    let (status, rest) = first_line(data);
    let (headers, body) = headers(rest);
    let answer = HttpResponse { status: status.trim().parse().unwrap_or(200), headers, body: body.to_vec() };
    let problem = errors::classify(&answer);
    assert_eq!(problem.status, answer.status);
    told(&problem);

    let mut problems = Vec::new();
    let mut read = |found: Result<(), errors::Problem>| problems.extend(found.err());
    read(account::read_check(&answer));
    read(attributes::read_list(&answer).map(drop));
    read(attributes::read_create(&answer));
    read(campaigns::read_get(&answer).map(drop));
    read(campaigns::read_send_now(&answer).map(drop));
    read(contacts::read_get(&answer).map(drop));
    read(contacts::read_create(&answer).map(drop));
    read(contacts::read_update(&answer).map(drop));
    read(contacts::read_delete(&answer).map(drop));
    read(crm::read_made(&answer));
    read(crm::read_task_types(&answer).map(drop));
    for shelf in [Shelf::Notes(None), Shelf::Tasks(None)] {
        read(shelf.read(&answer).map(drop));
    }
    read(events::read_track(&answer));
    read(events::read_list(&answer).map(drop));
    read(imports::read_import(&answer).map(drop));
    read(imports::read_process(&answer).map(drop));
    read(imports::read_is_importing(&answer).map(drop));
    read(imports::read_contacts(&answer).map(drop));
    read(lists::read_page(&answer).map(drop));
    read(lists::read_create(&answer).map(drop));
    read(lists::read_list(&answer).map(drop));
    read(mail_log::read_delete(&answer).map(drop));
    read(mails::read_send(&answer).map(drop));
    read(mails::read_list(&answer).map(drop));
    read(objects::read_upsert(&answer).map(drop));
    read(objects::read_process(&answer).map(drop));
    read(objects::read_records(&answer).map(drop));
    read(products::read_upsert(&answer));
    read(texts::read_send(&answer));
    read(texts::read_list(&answer).map(drop));
    imports::made_at(&answer);
    imports::read_report(&answer.body);

    // Whatever is asked for row by row is answered row by row.
    match lists::read_change(&answer, &[1, 2, 3]) {
        Ok(rows) => assert_eq!(rows.len(), 3),
        Err(problem) => problems.push(problem),
    }
    for sent in [1, 3, 200] {
        match events::read_batch(&answer, sent) {
            Ok(rows) => assert_eq!(rows.len(), sent),
            Err(problem) => problems.push(problem),
        }
    }
    for problem in &problems {
        assert_eq!(problem.status, answer.status);
        told(problem);
    }
}

fn told(problem: &errors::Problem) {
    let rule = problem.kind.rule();
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'-';
    assert!(!rule.code.is_empty() && rule.code.bytes().all(plain), "{}", rule.code);
    assert!(!rule.message.is_empty() && !rule.action.is_empty());
}
