//! Serves a folder as S3 on loopback, by an implementation that this project did not write.
//!
//! ```text
//! FOREIGN_S3_SECRET=secret foreign-s3 --folder DIR --access-key AKIAFOREIGN
//! ```
//!
//! Each folder in `DIR` is a bucket. It prints its address (`http://127.0.0.1:PORT`) on one line
//! and ends when its standard input does, so that it never outlives the test that started it. The
//! secret comes from the environment, where no list of processes shows it.
//!
//! What s3s-fs 0.14 does not do: a listing has no `ETag`s, `encoding-type=url` encodes nothing,
//! `If-Match` and `If-None-Match` are ignored, any region is accepted, and an unknown key is
//! refused as `NotSignedUp`.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const SECRET: &str = "FOREIGN_S3_SECRET";

struct Arguments {
    folder: PathBuf,
    access_key: String,
    secret: String,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let (mut folder, mut access_key) = (None, None);
        let mut given = std::env::args_os().skip(1);
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("{} has no value", name.display()))?;
            match name.to_str() {
                Some("--folder") => folder = Some(PathBuf::from(value)),
                Some("--access-key") => access_key = value.into_string().ok(),
                _ => return Err(format!("{} is no argument", name.display())),
            }
        }
        Ok(Self {
            folder: folder.ok_or("--folder is missing")?,
            access_key: access_key.ok_or("--access-key is missing")?,
            secret: std::env::var(SECRET).map_err(|_| format!("{SECRET} is not set"))?,
        })
    }

    fn service(&self) -> Result<S3Service, String> {
        let files = FileSystem::new(&self.folder).map_err(|e| format!("{}: {e:?}", self.folder.display()))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(self.access_key.as_str(), self.secret.as_str()));
        Ok(builder.build())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::read().and_then(|arguments| arguments.service()) {
        Ok(service) => tokio::select! {
            outcome = serve(service) => outcome.map_err(|e| e.to_string()),
            () = input_ended() => Ok(()),
        },
        Err(message) => Err(message),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("foreign-s3: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(service: S3Service) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for instance: the listener stays usable.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            // An error here is a client that went away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn input_ended() {
    let (mut input, mut read) = (tokio::io::stdin(), [0; 64]);
    while input.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
}
