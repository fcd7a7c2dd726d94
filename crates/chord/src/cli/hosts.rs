//! Host names that the system does not know: a typing mistake more often than a node that is down.

use std::time::Duration;

use chord::{Contact, NodeName};

use super::output::note;

/// How long the system may take to find out. It asks other machines, and has patience of its own.
const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// Why the node's host cannot be found; `None` if it can, or if that takes too long to tell.
pub(crate) async fn unknown(node: &NodeName) -> Option<String> {
    let lookup = tokio::net::lookup_host((node.host(), node.port()));
    let error = tokio::time::timeout(LOOKUP_WAIT, lookup).await.ok()?.err()?;
    Some(format!("the host name {} is unknown ({error})", node.host()))
}

/// Says which of these nodes cannot be found, each once.
pub(crate) async fn tell_unknown(contacts: Vec<Contact>) {
    // Of a name that is looked up anew each time, the node itself says that.
    for node in contacts.iter().filter_map(Contact::node) {
        if let Some(sentence) = unknown(node).await {
            let sentence = sentence.strip_prefix("the ").unwrap_or(&sentence);
            note(format_args!("The {sentence}; {node} is tried again until it is known"));
        }
    }
}
