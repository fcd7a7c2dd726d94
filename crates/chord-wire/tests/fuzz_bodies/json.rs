//! The seed's messages in JSON: what is understood is the same when it is written and read again.

use chord_wire::seed::{decode_answer, decode_request, encode_answer, encode_request};
use chord_wire::{Command, decode_error, encode_error};

pub(crate) fn check(bytes: &[u8]) {
    for command in Command::ALL {
        if let Ok(request) = decode_request(command, bytes) {
            assert_eq!(decode_request(command, &encode_request(&request)), Ok(request));
        }
        if let Ok(answer) = decode_answer(command, bytes) {
            assert_eq!(decode_answer(command, &encode_answer(&answer)), Ok(answer));
        }
    }
    if let Some(sentence) = decode_error(bytes) {
        assert_eq!(decode_error(&encode_error(&sentence)), Some(sentence));
    }
}
