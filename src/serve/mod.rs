//! The page over HTTP: a folder of files, or the same inside the program, to browsers on this machine.
//!
//! | file | what it is |
//! |---|---|
//! | [`page`] | the page's files by their addresses, with their hashes |
//! | [`answer`] | a request's answer: which form of which file, or why not |
//! | [`policy`] | what every answer says about what the page may do; media types |
//!
//! It answers one kind of question, so [`hyper`] is all it needs. Everything runs on one thread: a visitor fetches a few files, once.

pub mod answer;
pub mod page;
pub mod policy;

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

pub use page::Page;

use crate::{Error, Result};

/// The ports that are tried where none is asked for, in this order.
const PORTS: RangeInclusive<u16> = 8000..=8099;

/// How long to wait when the system has no more connections to give.
const BREATH: Duration = Duration::from_millis(50);

/// Opens a port: the one that is asked for (0: any that is free), else the first free one from 8000 on.
///
/// # Errors
/// An unknown host; a port that is taken or not allowed.
pub fn listen(host: &str, port: Option<u16>) -> Result<TcpListener> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let resolve = |port| -> Result<Vec<SocketAddr>> {
        let unknown =
            |why| Error::Usage(format!("--host {host}: {why}; give an address of this machine, like 127.0.0.1"));
        let addresses: Vec<SocketAddr> =
            (bare, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?.collect();
        if addresses.is_empty() { Err(unknown("it has no address".into())) } else { Ok(addresses) }
    };
    let refused = |port: u16, error: &io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has it; choose another by --port, or leave --port out",
            io::ErrorKind::PermissionDenied => "it is not allowed; choose one from 1024 on by --port",
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; leave --host out for 127.0.0.1"
            }
            _ => return Error::Usage(format!("cannot listen on {host}, port {port}: {error}")),
        };
        Error::Usage(format!("cannot listen on {host}, port {port}: {advice}"))
    };
    if let Some(port) = port {
        return TcpListener::bind(resolve(port)?.as_slice()).map_err(|error| refused(port, &error));
    }
    for port in PORTS {
        match TcpListener::bind(resolve(port)?.as_slice()) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(refused(port, &error)),
        }
    }
    Err(Error::Usage(format!(
        "every port from {} to {} is taken; choose another by --port, or --port 0 for any",
        PORTS.start(),
        PORTS.end()
    )))
}

/// Answers requests until the program ends.
///
/// # Errors
/// The system gives no event queue.
pub fn serve(listener: TcpListener, page: Page) -> Result<()> {
    let failed = |error: io::Error| Error::Failed(format!("cannot serve the page: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async move {
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let page = Arc::new(page);
        loop {
            // A visitor that is gone before it is greeted, or too many of them: nothing that ends a server.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let page = Arc::clone(&page);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer::answer(&page, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                // The timer ends connections that never say what they want. What breaks a connection concerns its visitor only.
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}
