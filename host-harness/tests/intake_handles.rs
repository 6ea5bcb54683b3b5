//! Alone in its process, because it uses up the process's file handles.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "intake/bench.rs"]
mod bench;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::FromRawFd;
use std::time::Duration;

use bench::{authorized, read_all, request, start, status};
use host_harness::intake::Options;

#[test]
fn h14_the_listener_survives_running_out_of_file_handles() {
    let bench = start(Options::default());
    // The client's socket exists before the handles run out.
    // SAFETY: plain system calls on descriptors that this test owns.
    unsafe {
        let client = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut old), 0);
        let tight = libc::rlimit { rlim_cur: client as u64 + 1, rlim_max: old.rlim_max };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &tight), 0);
        let mut fillers = Vec::new();
        loop {
            let filler = libc::dup(client);
            if filler < 0 {
                break;
            }
            fillers.push(filler);
        }
        let mut stream = {
            let address = bench.intake.address();
            let sockaddr = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
                sin_zero: [0; 8],
            };
            let length = size_of::<libc::sockaddr_in>() as u32;
            assert_eq!(libc::connect(client, (&raw const sockaddr).cast(), length), 0);
            TcpStream::from_raw_fd(client)
        };
        stream.write_all(&request("streams", &authorized(), b"{}")).unwrap();
        // No answer while there is no handle for the connection.
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(stream.read(&mut [0]).is_err());
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &old), 0);
        fillers.into_iter().for_each(|filler| assert_eq!(libc::close(filler), 0));
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(status(&read_all(&mut stream)), 200);
    }
}
