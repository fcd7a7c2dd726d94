//! A door that speaks TLS alone: the session first, and inside of it whatever is spoken at a door.

use std::io;
use std::sync::Arc;

use chord_wire::resp::Sniffed;
use tokio::net::TcpStream;

use super::farewell::refuse_plain;
use super::seat::Seat;
use super::{Ends, Opening};
use crate::offence::Offence;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::tls::NodeTls;

/// Serves a connection that has begun so.
pub(super) async fn serve(
    stream: TcpStream,
    opening: Opening,
    tls: Arc<NodeTls>,
    ends: Ends,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
) -> io::Result<()> {
    let first = match opening {
        Opening::Speaks(Sniffed::Tls, first) => first,
        Opening::Speaks(spoken, first) => {
            tls.counts_plain();
            shared.guard.offences().note(Offence::Plain, ends.from());
            tokio::select! {
                () = refuse_plain(stream, spoken, &first) => {}
                () = seat.asked_to_leave() => {}
            }
            return Ok(());
        }
        Opening::Late => {
            shared.guard.offences().note(Offence::Time, ends.from());
            return Ok(());
        }
        Opening::Silent => return Ok(()),
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no session of TLS was agreed on in time");
    let secured = tokio::select! {
        agreed = tokio::time::timeout(shared.limits.header_read, tls.accept(stream, &first)) => {
            agreed.unwrap_or_else(|_| Err(late()))?
        }
        () = seat.asked_to_leave() => return Ok(()),
    };
    drop(first);
    let ends = Ends { shown: secured.shown().into(), ..ends };
    let mut stream = Stream::Tls(Arc::new(secured));
    let opening = Opening::hear(&mut stream, &shared.limits, &seat).await?;
    opening.serve(stream, ends, shared, seat).await
}
