//! Stands between the host and Brevo and does what a broken host would do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stand_ins::brevo::Brevo;

use super::compare::ext_id;

/// What is done wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    Nothing,
    /// One event is acknowledged and not passed on.
    Lose,
    /// One event is passed on twice.
    Double,
    /// A block is lifted after it was set.
    Resubscribe,
    /// A contact is made again after it was deleted.
    Resurrect,
    /// Two writes of an attribute arrive in the other order.
    Misorder,
    /// A write clears the attribute that it doesn't mention.
    Clear,
}

/// Ends with the test's process.
pub struct Proxy {
    /// `http://127.0.0.1:port`
    pub url: String,
}

#[derive(Clone)]
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Plan {
    tamper: Tamper,
    /// `127.0.0.1:port`
    brevo: String,
    key: String,
    done: bool,
    held: Option<Message>,
}

impl Proxy {
    pub fn before(brevo: &Brevo, tamper: Tamper) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let address = brevo.url().trim_start_matches("http://").to_owned();
        let plan = Plan { tamper, brevo: address, key: brevo.api_key().to_owned(), done: false, held: None };
        let plan = Arc::new(Mutex::new(plan));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let plan = plan.clone();
                std::thread::spawn(move || exchange(client, &mut plan.lock().unwrap()));
            }
        });
        Self { url }
    }
}

fn exchange(mut client: TcpStream, plan: &mut Plan) -> Option<()> {
    let asked = read(&client)?;
    let answer = plan.answer(&asked)?;
    write(&mut client, &answer)
}

impl Plan {
    fn answer(&mut self, asked: &Message) -> Option<Message> {
        if self.done {
            return self.pass_on(asked);
        }
        let is = |method: &str, path: &str| asked.first.starts_with(&format!("{method} {path}"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let updates = is("PUT", "/v3/contacts/");
        match self.tamper {
            Tamper::Lose if is("POST", "/v3/events") => {
                self.done = true;
                Some(taken())
            }
            Tamper::Double if is("POST", "/v3/events") => {
                self.done = true;
                self.pass_on(asked)?;
                self.pass_on(asked)
            }
            Tamper::Resubscribe if updates && body["emailBlacklisted"] == true => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                self.pass_on(&with_body(asked, &json!({ "emailBlacklisted": false })))?;
                Some(answer)
            }
            Tamper::Resurrect if is("DELETE", "/v3/contacts/") => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                let again = json!({
                    "ext_id": ext_id(1), "email": "p1.0@example.com", "attributes": {}, "updateEnabled": false
                });
                let mut made = with_body(asked, &again);
                made.first = "POST /v3/contacts HTTP/1.1".to_owned();
                self.pass_on(&made)?;
                Some(answer)
            }
            Tamper::Misorder if updates && body["attributes"]["PLAN"].is_string() => match self.held.take() {
                None => {
                    self.held = Some(asked.clone());
                    Some(taken())
                }
                Some(held) => {
                    self.done = true;
                    let answer = self.pass_on(asked)?;
                    self.pass_on(&held)?;
                    Some(answer)
                }
            },
            Tamper::Clear
                if updates && body["attributes"].is_object() && body["attributes"]["CITY"].is_null() =>
            {
                self.done = true;
                let mut cleared = body.clone();
                cleared["attributes"]["CITY"] = "".into();
                self.pass_on(&with_body(asked, &cleared))
            }
            _ => self.pass_on(asked),
        }
    }

    fn pass_on(&self, asked: &Message) -> Option<Message> {
        let mut server = TcpStream::connect(&self.brevo).ok()?;
        let mut asked = asked.clone();
        asked.headers.retain(|(name, _)| name != "host" && name != "api-key");
        asked.headers.push(("host".to_owned(), self.brevo.clone()));
        asked.headers.push(("api-key".to_owned(), self.key.clone()));
        write(&mut server, &asked)?;
        read(&server)
    }
}

fn taken() -> Message {
    Message { first: "HTTP/1.1 204 No Content".to_owned(), headers: Vec::new(), body: Vec::new() }
}

fn with_body(asked: &Message, body: &Value) -> Message {
    let body = body.to_string().into_bytes();
    let mut headers = asked.headers.clone();
    headers.retain(|(name, _)| name != "content-length" && name != "content-type");
    headers.push(("content-length".to_owned(), body.len().to_string()));
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    Message { first: asked.first.clone(), headers, body }
}

/// One message with a `Content-Length`, or without a body.
fn read(stream: &TcpStream) -> Option<Message> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Ok(0), |(_, value)| value.parse()).ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Message { first, headers, body })
}

fn write(stream: &mut TcpStream, message: &Message) -> Option<()> {
    let kept = message.headers.iter().filter(|(name, _)| name != "connection");
    let headers: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("{}\r\n{headers}connection: close\r\n\r\n", message.first).as_bytes()).ok()?;
    stream.write_all(&message.body).ok()
}
