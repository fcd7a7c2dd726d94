//! Listening on what the node's name means, now and later.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chord_ring::{NodeName, NodeNameError};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use crate::StartError;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Between two looks whether the host's name still means the address that the node listens on, and how long one may take:
/// a container that is taken to another network is found again before its peers have given it up for long.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
const LOOK_WAIT: Duration = Duration::from_secs(5);

/// An address that is taken: nobody else can have it, and whoever knocks is refused until the node listens.
pub(crate) struct Bound {
    socket: TcpSocket,
    address: String,
    /// The host as given and the real port.
    pub(crate) name: NodeName,
}

impl Bound {
    /// Listens there.
    pub(crate) fn listen(self) -> Result<TcpListener, StartError> {
        let Self { socket, address, .. } = self;
        // Somebody may have bound it too, and have been faster.
        socket.listen(BACKLOG).map_err(|error| cannot_listen(&address, error))
    }
}

/// Binds the first address of the host that can be had; one that means every address of the machine only if the node has another
/// name than that.
pub(crate) async fn bind(address: &str, is_named: bool) -> Result<Bound, StartError> {
    // Port 0 is no part of a name: check the rest with another one in its place.
    let (host, port) = address.rsplit_once(':').ok_or(NodeNameError::NoPort)?;
    let any_port = port == "0";
    let name: NodeName = if any_port { format!("{host}:1").parse()? } else { address.parse::<NodeName>()? };
    let port = if any_port { 0 } else { name.port() };
    let found = tokio::net::lookup_host((name.host(), port))
        .await
        .map_err(|error| StartError::UnknownHost { address: address.to_owned(), error })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in found {
        if candidate.ip().is_unspecified() && !is_named {
            return Err(StartError::Unspecified(address.to_owned()));
        }
        let bound = socket_at(candidate).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
        match bound {
            Ok((port, socket)) => {
                let name = format!("{host}:{port}").parse()?;
                return Ok(Bound { socket, address: address.to_owned(), name });
            }
            Err(error) => last = error,
        }
    }
    Err(cannot_listen(address, last))
}

fn cannot_listen(address: &str, error: io::Error) -> StartError {
    match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { address: address.to_owned() },
        _ => StartError::Listen { address: address.to_owned(), error },
    }
}

fn socket_at(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket_at(address)?.listen(BACKLOG)
}

/// Sends a listener on the new address whenever the host of `name` has come to mean others than the one that is `bound`,
/// as happens to a container. Ends when nobody wants it any more, and at once if the host is an address itself.
pub(crate) async fn follow(name: NodeName, bound: SocketAddr, listeners: mpsc::Sender<TcpListener>) {
    if name.host().parse::<IpAddr>().is_ok() {
        return;
    }
    let look_up = move || {
        let host = name.host().to_owned();
        async move {
            let found = tokio::net::lookup_host((host, bound.port()));
            let found = tokio::time::timeout(LOOK_WAIT, found).await.ok().and_then(Result::ok);
            found.map(Iterator::collect).unwrap_or_default()
        }
    };
    follow_by(look_up, LOOK_PAUSE, bound, listeners).await;
}

/// The same, with the addresses that `look_up` finds: none while the name is unknown, as it is while a cable is out.
async fn follow_by<Found: Future<Output = Vec<SocketAddr>>>(
    look_up: impl Fn() -> Found,
    pause: Duration,
    mut bound: SocketAddr,
    listeners: mpsc::Sender<TcpListener>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = listeners.closed() => return,
        }
        let found = look_up().await;
        if found.iter().any(|address| address.ip() == bound.ip()) {
            continue;
        }
        for address in found.into_iter().filter(|address| !address.ip().is_unspecified()) {
            match listen(address) {
                Ok(listener) => {
                    tracing::info!(
                        event = "moved",
                        "the node's name has a new address: listening on {address}"
                    );
                    bound = address;
                    if listeners.send(listener).await.is_err() {
                        return;
                    }
                    break;
                }
                Err(error) => tracing::warn!(
                    event = "cannot-move",
                    "the node's name has a new address, {address}: {error}"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    fn local(host: u8, port: u16) -> SocketAddr {
        ([127, 0, 0, host], port).into()
    }

    #[tokio::test]
    async fn a_name_that_means_another_address_is_listened_on_there() {
        let first = listen(local(1, 0)).unwrap().local_addr().unwrap();
        let (listeners, mut moved) = mpsc::channel(1);
        let answers = std::sync::Mutex::new(vec![
            vec![local(2, first.port())],
            vec![],
            vec![first, local(3, first.port())],
        ]);
        let look_up = || {
            let found = answers.lock().unwrap().pop();
            std::future::ready(found.unwrap_or(vec![local(2, first.port())]))
        };
        let listener = tokio::select! {
            listener = moved.recv() => listener.unwrap(),
            () = follow_by(look_up, QUICK, first, listeners) => panic!("it goes on"),
        };
        assert_eq!(listener.local_addr().unwrap(), local(2, first.port()));
        assert!(answers.lock().unwrap().is_empty(), "neither its own address nor an unknown name is a move");
    }

    #[tokio::test]
    async fn nobody_follows_an_address_or_a_closed_door() {
        let (listeners, moved) = mpsc::channel(1);
        follow("127.0.0.1:1".parse().unwrap(), local(1, 1), listeners.clone()).await;
        drop(moved);
        follow_by(|| std::future::ready(Vec::new()), Duration::from_secs(3600), local(1, 1), listeners).await;
    }
}
