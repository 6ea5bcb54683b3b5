//! Returns more than may cross the boundary, or more than a unit may hold; the body says which.

use kit::*;

struct Huge;

impl Connector for Huge {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let mut outcome = contacts(&request);
        match request.body.as_slice() {
            b"huge" => {
                let mut body = String::with_capacity((17 << 20) + 2);
                body.push('"');
                body.extend(std::iter::repeat_n('x', 17 << 20));
                body.push('"');
                outcome.records[0].body = body;
            }
            b"many" => outcome.records = (0..20_001).map(|n| contact(&n.to_string())).collect(),
            // The smallest things that there are, with nothing in them: a million fit into the memory.
            b"million" => {
                let note = |count| Note { name: String::new(), count, message: String::new() };
                outcome.notes = (0..1_000_000).map(note).collect();
            }
            b"notes" => {
                let note = |count| Note { name: "n".into(), count, message: String::new() };
                outcome.notes = (0..1_001).map(note).collect();
            }
            _ => {}
        }
        Ok(outcome)
    }
}

guest!(Huge);
