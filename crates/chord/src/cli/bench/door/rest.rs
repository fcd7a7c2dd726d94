//! HTTP below `/v1`: a value is the body, as it is.

use std::borrow::Cow;

use chord::NodeName;
use serde::Deserialize;

use super::http::{end_head, heard};
use super::{Answer, Came, Heard, Speech, sentence};
use crate::cli::bench::keys::{Sizes, key, write_value};
use crate::cli::bench::response::{self, Whole};
use crate::cli::bench::workload::{Operation, Request};

const PATH: &str = "/v1/kv/";

/// One connection that speaks it.
pub(super) struct Rest {
    /// What follows the key of a put and of a get.
    rest: [Vec<u8>; 2],
    sizes: Sizes,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    detail: Cow<'a, str>,
}

impl Rest {
    pub(super) fn new(node: &NodeName, authorization: &str, sizes: Sizes) -> Self {
        let put = format!(" HTTP/1.1\r\nHost: {node}\r\n{authorization}Content-Length: ");
        let get = format!(" HTTP/1.1\r\nHost: {node}\r\n{authorization}\r\n");
        Self { rest: [put.into_bytes(), get.into_bytes()], sizes }
    }
}

impl Speech for Rest {
    fn ask(&mut self, request: Request, _number: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(match request.operation {
            Operation::Put => b"PUT ",
            Operation::Get => b"GET ",
        });
        to.extend_from_slice(PATH.as_bytes());
        to.extend_from_slice(&key(request.key));
        to.extend_from_slice(&self.rest[request.operation as usize]);
        if request.operation == Operation::Put {
            let n_value = self.sizes.of_key(request.key);
            end_head(n_value, to);
            write_value(request.key, n_value, to);
        }
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        let whole = response::whole(came.bytes, came.is_all)?;
        heard(whole, |whole| {
            Ok(match (whole.head.status, came.asked) {
                (200 | 201 | 204, Operation::Put) => Answer::Stored,
                (200, Operation::Get) => Answer::Found(Cow::Borrowed(whole.body)),
                (404, Operation::Get) => Answer::Absent,
                _ => refused(whole),
            })
        })
    }
}

fn refused(whole: &Whole<'_>) -> Answer<'static> {
    let told = serde_json::from_slice::<Problem<'_>>(whole.body).ok();
    let why = told.map_or_else(|| "no reason given".to_owned(), |problem| sentence(&problem.detail));
    Answer::Refused(format!("status {}: {why}", whole.head.status))
}
