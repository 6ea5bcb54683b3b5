//! Opens a socket by itself instead of asking the host.

use kit::*;

struct Sockets;

impl Connector for Sockets {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        match std::net::TcpStream::connect("127.0.0.1:1") {
            Ok(_) => Ok(contacts(&request)),
            Err(_) => Err(internal("no-socket")),
        }
    }
}

guest!(Sockets);
