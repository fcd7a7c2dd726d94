//! The seed's XML-RPC.

use std::borrow::Cow;

use chord::NodeName;
use chord::wire::{self, Command};

use super::http::{head, heard, refused, write_get, write_put};
use super::{Answer, Came, Heard, Speech, sentence};
use crate::cli::bench::keys::Sizes;
use crate::cli::bench::response;
use crate::cli::bench::workload::{Operation, Request};

const PUT: [&str; 3] = [
    "<?xml version='1.0'?><methodCall><methodName>put</methodName><params><param><value><struct>\
     <member><name>key</name><value><string>",
    "</string></value></member><member><name>value</name><value><string>",
    "</string></value></member><member><name>no_redirect</name><value><boolean>0</boolean></value></member>\
     </struct></value></param></params></methodCall>",
];
const GET: [&str; 2] = [
    "<?xml version='1.0'?><methodCall><methodName>get</methodName><params><param><value><struct>\
     <member><name>key</name><value><string>",
    "</string></value></member></struct></value></param></params></methodCall>",
];

/// One connection that speaks it.
pub(super) struct XmlRpc {
    head: Vec<u8>,
    sizes: Sizes,
}

impl XmlRpc {
    pub(super) fn new(node: &NodeName, authorization: &str, sizes: Sizes) -> Self {
        Self { head: head("/RPC2", node, authorization, "text/xml"), sizes }
    }
}

impl Speech for XmlRpc {
    fn ask(&mut self, request: Request, _number: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.head);
        match request.operation {
            Operation::Put => write_put(PUT, request.key, self.sizes, to),
            Operation::Get => write_get(GET, request.key, to),
        }
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        let whole = response::whole(came.bytes, came.is_all)?;
        heard(whole, |whole| {
            if whole.head.status == 200 { answer(came.asked, whole.body) } else { Ok(refused(whole)) }
        })
    }
}

/// What a body says.
fn answer(asked: Operation, body: &[u8]) -> anyhow::Result<Answer<'static>> {
    let command = match asked {
        Operation::Put => Command::Put,
        Operation::Get => Command::Get,
    };
    Ok(match wire::xmlrpc::decode_answer(command, body)? {
        Ok(wire::Answer::Get { value: Some(value), .. }) => Answer::Found(Cow::Owned(value.into_bytes())),
        Ok(wire::Answer::Get { value: None, .. }) => Answer::Absent,
        Ok(_) => Answer::Stored,
        Err(fault) => Answer::Refused(format!("fault {}: {}", fault.code, sentence(&fault.sentence))),
    })
}
