//! The orders of the page's buttons: what they say, and the answers.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use chord::{Annex, AnnexAnswer, AnnexAsked, NodeName};
use serde::{Deserialize, Serialize};

use super::load::RATE_MAX;
use super::playground::{Playground, Refused};

/// Takes the orders at the doors of all nodes.
#[derive(Clone)]
pub(super) struct Desk {
    playground: Weak<Playground>,
    /// Where the work is done: the node at whose door it is asked may end before.
    runtime: tokio::runtime::Handle,
}

impl Desk {
    /// To be called where the program itself runs.
    pub(super) fn new(playground: Weak<Playground>) -> Self {
        Self { playground, runtime: tokio::runtime::Handle::current() }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Desk")
    }
}

/// What a button says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    node: Option<String>,
    rate: Option<u16>,
}

/// Why nothing is done.
struct Error {
    status: u16,
    sentence: String,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let status = if matches!(refused, Refused::NoSuchNode) { 404 } else { 409 };
        Self { status, sentence: refused.to_string() }
    }
}

impl Error {
    fn bad(sentence: &str) -> Self {
        Self { status: 400, sentence: sentence.to_owned() }
    }
}

impl Annex for Desk {
    fn answer(&self, asked: AnnexAsked) -> Pin<Box<dyn Future<Output = AnnexAnswer> + Send>> {
        let Self { playground, runtime } = self.clone();
        Box::pin(async move {
            let Some(playground) = playground.upgrade() else { return refuse(503, "the ring is stopping") };
            let answered = runtime.spawn(async move { answer(&playground, asked).await }).await;
            match answered {
                Ok(Ok(json)) => AnnexAnswer { status: 200, json },
                Ok(Err(Error { status, sentence })) => refuse(status, &sentence),
                Err(_) => refuse(500, "the order broke: the log says more"),
            }
        })
    }
}

async fn answer(playground: &Arc<Playground>, asked: AnnexAsked) -> Result<Vec<u8>, Error> {
    let AnnexAsked { at, is_order, path, body, .. } = asked;
    if !is_order {
        return match path.as_str() {
            "state" => Ok(json(&playground.state(&at))),
            _ => Err(unknown()),
        };
    }
    let order: Order = if body.is_empty() { Order::default() } else { read(&body)? };
    match path.as_str() {
        "add" => {
            let name = playground.add(&at).await?;
            return Ok(json(&serde_json::json!({ "node": name.to_string() })));
        }
        "leave" => playground.leave(&at, &order.node()?).await?,
        "kill" => playground.kill(&at, &order.node()?).await?,
        "freeze" => playground.freeze(&at, &order.node()?).await?,
        "thaw" => playground.thaw(&order.node()?).await?,
        "cut" => playground.cut(&at).await?,
        "heal" => playground.heal().await?,
        "load" => playground.load().set_rate(order.rate()?),
        _ => return Err(unknown()),
    }
    Ok(json(&playground.state(&at)))
}

fn unknown() -> Error {
    let sentence =
        "no such order: there are GET state, and POST add, leave, kill, freeze, thaw, cut, heal and load";
    Error { status: 404, sentence: sentence.to_owned() }
}

fn read(body: &[u8]) -> Result<Order, Error> {
    // What serde says may repeat what it was given.
    serde_json::from_slice(body)
        .map_err(|_| Error::bad("an order is a JSON object with \"node\" or \"rate\", or no body"))
}

impl Order {
    fn node(&self) -> Result<NodeName, Error> {
        let name = self.node.as_deref().and_then(|name| name.parse().ok());
        name.ok_or_else(|| Error::bad("this order wants \"node\", the name of a node"))
    }

    fn rate(&self) -> Result<u16, Error> {
        let rate = self.rate.filter(|rate| *rate <= RATE_MAX);
        rate.ok_or_else(|| {
            Error::bad(&format!("this order wants \"rate\", writes in a second, from 0 to {RATE_MAX}"))
        })
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers can be written")
}

fn refuse(status: u16, sentence: &str) -> AnnexAnswer {
    AnnexAnswer { status, json: json(&serde_json::json!({ "error": sentence })) }
}
