//! The seed's HTTP and JSON.

use std::borrow::Cow;

use anyhow::Context;
use chord::NodeName;
use serde::Deserialize;

use super::{Answer, Came, Heard, Speech, sentence};
use crate::cli::bench::keys::{KEY_BYTES, Sizes, key, write_value};
use crate::cli::bench::response::{self, Whole};
use crate::cli::bench::workload::{Operation, Request};

const PUT: [&str; 3] = ["{\"key\": \"", "\", \"value\": \"", "\", \"no_redirect\": false}"];
const GET: [&str; 2] = ["{\"key\": \"", "\"}"];

/// One connection that speaks it.
pub(super) struct Http {
    heads: [Vec<u8>; 2],
    sizes: Sizes,
}

#[derive(Deserialize)]
struct GetBody<'a> {
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
}

impl Http {
    pub(super) fn new(node: &NodeName, authorization: &str, sizes: Sizes) -> Self {
        let heads = ["/put", "/get"].map(|path| head(path, node, authorization, "application/json"));
        Self { heads, sizes }
    }
}

impl Speech for Http {
    fn ask(&mut self, request: Request, _number: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.heads[request.operation as usize]);
        match request.operation {
            Operation::Put => write_put(PUT, request.key, self.sizes, to),
            Operation::Get => write_get(GET, request.key, to),
        }
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        let whole = response::whole(came.bytes, came.is_all)?;
        heard(whole, |whole| match (whole.head.status, came.asked) {
            (200, Operation::Put) => Ok(Answer::Stored),
            (200, Operation::Get) => {
                let body: GetBody<'_> =
                    serde_json::from_slice(whole.body).context("the answer is not that of a get")?;
                Ok(body.value.map_or(Answer::Absent, |value| Answer::Found(to_bytes(value))))
            }
            _ => Ok(refused(whole)),
        })
    }
}

/// The head of a request as far as the length of its body; `authorization` is a line of it, or nothing.
pub(super) fn head(path: &str, node: &NodeName, authorization: &str, content_type: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: {node}\r\n{authorization}Content-Type: {content_type}\r\nContent-Length: ")
        .into_bytes()
}

/// Puts the length of the body behind that, and ends the head.
pub(super) fn end_head(n_body: usize, to: &mut Vec<u8>) {
    write_number(n_body, to);
    to.extend_from_slice(b"\r\n\r\n");
}

/// Ends the head of a put, whose body is `parts` with the key and the value between them.
pub(super) fn write_put([start, middle, end]: [&str; 3], number: u64, sizes: Sizes, to: &mut Vec<u8>) {
    let n_value = sizes.of_key(number);
    end_head(start.len() + KEY_BYTES + middle.len() + n_value + end.len(), to);
    to.extend_from_slice(start.as_bytes());
    to.extend_from_slice(&key(number));
    to.extend_from_slice(middle.as_bytes());
    write_value(number, n_value, to);
    to.extend_from_slice(end.as_bytes());
}

/// The same for a get, with the key alone.
pub(super) fn write_get([start, end]: [&str; 2], number: u64, to: &mut Vec<u8>) {
    end_head(start.len() + KEY_BYTES + end.len(), to);
    to.extend_from_slice(start.as_bytes());
    to.extend_from_slice(&key(number));
    to.extend_from_slice(end.as_bytes());
}

/// Puts a number in decimal behind what is there.
pub(super) fn write_number(number: usize, to: &mut Vec<u8>) {
    use std::io::Write as _;
    write!(to, "{number}").expect("memory takes every number");
}

/// What was heard, by what it means.
pub(super) fn heard<'a>(
    whole: Option<Whole<'a>>,
    answer: impl FnOnce(&Whole<'a>) -> anyhow::Result<Answer<'a>>,
) -> anyhow::Result<Heard<'a>> {
    let Some(whole) = whole else { return Ok(Heard::Part) };
    let (n_bytes, stays) = (whole.n_bytes, whole.head.keep_alive);
    Ok(Heard::Answer { n_bytes, number: None, answer: answer(&whole)?, stays })
}

/// What a status other than the expected says.
pub(super) fn refused(whole: &Whole<'_>) -> Answer<'static> {
    let told = serde_json::from_slice::<ErrorBody<'_>>(whole.body).ok();
    let why = told.map_or_else(|| "no reason given".to_owned(), |body| sentence(&body.error));
    Answer::Refused(format!("status {}: {why}", whole.head.status))
}

fn to_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
