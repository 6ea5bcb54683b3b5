//! A small server between a client and a server over HTTP/1.1: one exchange a connection, each message
//! with a `Content-Length` or without a body. Ends with the test's process.
#![allow(dead_code)] // test binaries of several helpers have it in each of them

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request or an answer.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its first line.
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Answers every request as it is told; the connection is closed where there is no answer. Gives
/// `http://127.0.0.1:port`.
pub fn serve(answer: impl Fn(&Message) -> Option<Message> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let answered = answer(&read(&client)?)?;
                write(&mut client, &answered)
            });
        }
    });
    url
}

/// Asks a server at `127.0.0.1:port`.
pub fn pass_on(server: &str, asked: &Message) -> Option<Message> {
    let mut server = TcpStream::connect(server).ok()?;
    write(&mut server, asked)?;
    read(&server)
}

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
