//! Claims what is not its own; the body says what.

use kit::*;

struct Thief;

impl Connector for Thief {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let sin = String::from_utf8_lossy(&request.body).into_owned();
        let mut outcome = contacts(&request);
        if outcome.records.is_empty() {
            outcome.records.push(contact("1"));
        }
        let record = &mut outcome.records[0];
        match sin.as_str() {
            "other-connector" => record.id = "other:w1:contact:1".into(),
            "other-workspace" => record.id = "example:w2:contact:1".into(),
            "other-kind" => record.id = "example:w1:event:1".into(),
            "no-key" => record.id = "example:w1:contact:".into(),
            "undeclared-kind" => {
                record.kind = "event".into();
                record.id = "example:w1:event:1".into();
            }
            "wrong-door" => record.provenance = Provenance::Poll,
            "bad-code" => outcome.rejects.push(Reject {
                pointer: "/0".into(),
                code: "Not Kebab".into(),
                message: String::new(),
                remedy: String::new(),
            }),
            "unknown-slot" => {
                return Err(Failure { kind: FailureKind::Auth("nobody".into()), ..internal("refused") });
            }
            // Wrong inside one record only.
            "body" => {
                record.body = "{\"a\":1,\"a\":2}".into();
                outcome.records.push(contact("good"));
            }
            "time" => {
                record.occurred.at = Some(i64::MAX);
                outcome.records.push(contact("good"));
            }
            "no-name" => {
                record.subject = Subject::Object((String::new(), String::new()));
                outcome.records.push(contact("good"));
            }
            _ => {
                if let Some(id) = sin.strip_prefix("id=") {
                    outcome.records = vec![Record { id: id.into(), ..contact("1") }];
                }
            }
        }
        Ok(outcome)
    }

    fn map_record(_: Settings, record: Record, _: Timestamp) -> Result<Mapping, Failure> {
        let Mapping::Actions(mut actions) = upsert(&record) else { return Err(internal("impossible")) };
        match record.id.rsplit(':').next() {
            Some("same-slot") => actions.push(actions[0].clone()),
            Some("bad-payload") => actions[0].payload = "[".into(),
            Some("bad-instant") => actions[0].not_after = Some(-1),
            Some("many-actions") => {
                actions = (0..65).map(|n| Action { slot: n.to_string(), ..actions[0].clone() }).collect();
            }
            Some("nothing-said") => return Ok(Mapping::Nothing(String::new())),
            _ => {}
        }
        Ok(Mapping::Actions(actions))
    }

    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let mut page = empty_page();
        let cursor = |version, bytes: &[u8]| Cursor { version, bytes: bytes.to_vec() };
        match request.settings.as_str() {
            "\"foreign-version\"" => page.next = Next::More(cursor(2, b"x")),
            "\"huge-cursor\"" => page.next = Next::More(cursor(1, &[0; 4_097])),
            "\"same-cursor\"" => page.next = Next::More(cursor(1, b"here")),
            "\"over-budget\"" => {
                page.records = (0..3).map(|n| contact(&n.to_string())).collect();
                for record in &mut page.records {
                    record.provenance = Provenance::Poll;
                }
            }
            _ => {}
        }
        Ok(page)
    }
}

guest!(Thief);
