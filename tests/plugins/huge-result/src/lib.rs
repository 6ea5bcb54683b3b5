//! Returns more than may cross the boundary.

use kit::*;

struct Huge;

impl Connector for Huge {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let mut outcome = contacts(&request);
        if request.body == b"huge" {
            let mut body = String::with_capacity((17 << 20) + 2);
            body.push('"');
            body.extend(std::iter::repeat_n('x', 17 << 20));
            body.push('"');
            outcome.records[0].body = body;
        }
        if request.body == b"many" {
            outcome.records = (0..20_001).map(|n| contact(&n.to_string())).collect();
        }
        Ok(outcome)
    }
}

guest!(Huge);
