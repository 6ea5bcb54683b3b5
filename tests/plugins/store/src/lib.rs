//! Uses storage and jobs: each line of the body is one operation; notes tell the answers.

use kit::*;

struct Store;

fn said<T: std::fmt::Debug>(answer: Result<T, storage::Error>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.name().into(),
    }
}

impl Connector for Store {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let notes = text.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let answer = match words[..] {
                ["get", key] => match storage::get(key) {
                    Ok(Some(entry)) => String::from_utf8_lossy(&entry.value).into_owned(),
                    other => said(other),
                },
                ["set", key, value] => said(storage::set(key, value.as_bytes())),
                ["set-large", key, kib] => {
                    said(storage::set(key, &vec![0; kib.parse::<usize>().unwrap_or(0) << 10]))
                }
                ["delete", key] => said(storage::delete(key)),
                ["swap-new", key, value] => said(storage::swap(key, None, value.as_bytes())),
                ["swap-seen", key, value] => match storage::get(key) {
                    Ok(Some(entry)) => said(storage::swap(key, Some(entry.version), value.as_bytes())),
                    other => said(other),
                },
                ["swap-stale", key, value] => said(storage::swap(key, Some(4_711), value.as_bytes())),
                ["list", prefix] => said(storage::list(prefix, None)),
                ["list-after", prefix, after] => said(storage::list(prefix, Some(after))),
                ["job", key, resource] => {
                    let job = schedule::Job {
                        key: key.into(),
                        resource: resource.into(),
                        cursor: None,
                        not_before: 0,
                    };
                    match schedule::enqueue(&job) {
                        Ok(()) => "()".into(),
                        Err(error) => error.name().into(),
                    }
                }
                _ => "unknown".into(),
            };
            Note { name: "answer".into(), count: 1, message: answer }
        });
        Ok(WebhookOutcome { notes: notes.collect(), records: vec![], rejects: vec![] })
    }
}

guest!(Store);
