//! XML-RPC: what is understood is the same when it is written and read again.

use chord_wire::Command;
use chord_wire::xmlrpc::{Call, decode_answer, decode_call, encode_answer, encode_call};

pub(crate) fn check(bytes: &[u8]) {
    match decode_call(bytes) {
        Ok(Call::Multi(calls)) => calls.into_iter().flatten().for_each(check_call),
        Ok(call) => check_call(call),
        Err(_) => {}
    }
    for command in Command::ALL {
        if let Ok(Ok(answer)) = decode_answer(command, bytes) {
            let written = encode_answer(&answer).expect("what XML carried it can carry again");
            assert_eq!(decode_answer(command, &written), Ok(Ok(answer)));
        }
    }
}

fn check_call(call: Call) {
    if let Call::Seed(request) = &call {
        // A position may have come as a string of digits, longer than any number of XML-RPC.
        if let Ok(written) = encode_call(request) {
            assert_eq!(decode_call(&written), Ok(call));
        }
    }
}
