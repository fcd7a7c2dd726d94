//! XML-RPC: exact bytes, round trips, what is accepted and what is refused. What Python makes of it is tested
//! in `xmlrpc_python.rs`.

#[cfg(test)]
mod any;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod limits;
#[cfg(test)]
#[path = "../messages/mod.rs"]
mod messages;
#[cfg(test)]
mod methods;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod text;

use chord_ring::{NodeNameError, Position};
use chord_wire::seed::{
    Answer, BadAnswer, BadBody, Leaving, Request, SUCCESSOR_LIST_MAX, Target, Wanted, fill_successor_list,
};
use chord_wire::xmlrpc::{
    BadCall, BadXml, Call, CallAnswer, DEPTH_MAX, Fault, MULTICALL_MAX, Method, NAME_BYTES_MAX, NotXml,
    VALUES_MAX, decode_answer, decode_call, encode_answer, encode_call, encode_call_answer, encode_fault,
};
use chord_wire::{Code, Command};
use messages::{name, names};
use proptest::prelude::*;

fn each<T>(entries: &[T], write: impl Fn(&T) -> String) -> String {
    entries.iter().map(write).collect::<Vec<_>>().concat()
}

/// A call of this method with these parameters, each the inside of a `<value>`.
fn call(method: &str, params: &[&str]) -> String {
    let params = each(params, |param| format!("<param><value>{param}</value></param>"));
    format!("<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>")
}

/// A struct of these fields, each the inside of a `<value>`.
fn struct_of(fields: &[(&str, &str)]) -> String {
    let member =
        |(name, value): &(&str, &str)| format!("<member><name>{name}</name><value>{value}</value></member>");
    format!("<struct>{}</struct>", fields.iter().map(member).collect::<String>())
}

fn call_of(method: &str, fields: &[(&str, &str)]) -> String {
    call(method, &[&struct_of(fields)])
}

fn response(value: &str) -> String {
    format!("<methodResponse><params><param><value>{value}</value></param></params></methodResponse>")
}

fn decoded(body: &str) -> Result<Call, BadCall> {
    decode_call(body.as_bytes())
}

fn refused(body: &str) -> BadCall {
    decoded(body).expect_err(body)
}

fn get(key: &str) -> Call {
    Call::Seed(Request::Get { key: key.to_owned() })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("we write UTF-8")
}

fn multicall(calls: &[String]) -> String {
    let calls = each(calls, |call| format!("<value>{call}</value>"));
    call("system.multicall", &[&format!("<array><data>{calls}</data></array>")])
}

fn one_call(method: &str, params: &str) -> String {
    let params = format!("<array><data>{params}</data></array>");
    struct_of(&[("methodName", method), ("params", &params)])
}
