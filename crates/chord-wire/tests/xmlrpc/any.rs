//! Any messages, and any bytes.

use super::*;

/// Texts of all kinds that XML can carry, by the table in its specification.
fn any_text() -> impl Strategy<Value = String> + Clone {
    let special = prop::sample::select(
        "&<>\"'\r\n\t ]-\u{7f}\u{85}\u{2028}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{1f600}"
            .chars()
            .collect::<Vec<_>>(),
    );
    let character = prop_oneof![any::<char>(), special];
    prop::collection::vec(character, 0..40)
        .prop_map(|characters| characters.into_iter().filter(|c| carried(*c)).collect())
}

fn carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn any_request() -> impl Strategy<Value = Request> {
    messages::request(any_text(), (0..=i64::MAX as u64).prop_map(Position::from))
}

/// Bytes that are nearly right: a good body with a few bytes changed, cut or doubled.
fn damaged_body() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![
        any_request().prop_map(|request| encode_call(&request).expect("XML carries it")),
        messages::answer(any_text()).prop_map(|(_, answer)| encode_answer(&answer).expect("XML carries it")),
    ];
    (good, any::<prop::sample::Index>(), any::<u8>(), 0..3u8).prop_map(|(mut body, at, byte, how)| {
        let at = at.index(body.len());
        match how {
            0 => body[at] = byte,
            1 => body.truncate(at),
            _ => body.insert(at, byte),
        }
        body
    })
}

/// Pieces of XML-RPC in any order.
fn jumble() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "<methodCall>",
        "</methodCall>",
        "<methodName>get</methodName>",
        "<methodName>system.multicall</methodName>",
        "<params>",
        "</params>",
        "<param>",
        "</param>",
        "<value>",
        "</value>",
        "<struct>",
        "</struct>",
        "<member>",
        "</member>",
        "<name>key</name>",
        "<array>",
        "</array>",
        "<data>",
        "</data>",
        "<int>5</int>",
        "<nil/>",
        "<methodResponse>",
        "</methodResponse>",
        "<fault>",
        "</fault>",
        "&amp;",
        "&#1;",
        "<![CDATA[x]]>",
        "<!--",
        "-->",
        "x",
        " ",
        "<?xml version='1.0'?>",
        "<!DOCTYPE x>",
        "<value/>",
        "<x",
        ">",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in any_request()) {
        let body = encode_call(&request).unwrap();
        prop_assert_eq!(decode_call(&body), Ok(Call::Seed(request)));
    }

    #[test]
    fn answers_survive_the_wire((command, answer) in messages::answer(any_text())) {
        let body = encode_answer(&answer).unwrap();
        prop_assert_eq!(decode_answer(command, &body), Ok(Ok(answer.clone())));
        prop_assert_eq!(encode_call_answer(&CallAnswer::Seed(answer)), Ok(body));
    }

    #[test]
    fn a_text_is_carried_whole_or_not_at_all(key in prop::collection::vec(any::<char>(), 0..20)) {
        let key: String = key.into_iter().collect();
        let written = encode_call(&Request::Get { key: key.clone() });
        prop_assert_eq!(written.is_ok(), key.chars().all(carried));
        if let Ok(body) = written {
            prop_assert_eq!(decode_call(&body), Ok(get(&key)));
        }
    }

    #[test]
    fn a_fault_is_xml_whatever_its_sentence(sentence in prop::collection::vec(0..128u8, 0..40)) {
        let sentence = String::from_utf8(sentence).unwrap();
        let fault = decode_answer(Command::Get, &encode_fault(Code::Internal, &sentence));
        prop_assert_eq!(fault.unwrap().unwrap_err().code, Code::Internal.fault_code());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        body in prop_oneof![damaged_body(), jumble(), prop::collection::vec(any::<u8>(), 0..200)]
    ) {
        let _ = decode_call(&body);
        for command in Command::ALL {
            let _ = decode_answer(command, &body);
        }
    }

    #[test]
    fn each_call_cut_short_is_refused((request, at) in (any_request(), any::<prop::sample::Index>())) {
        let body = encode_call(&request).unwrap();
        prop_assert!(decode_call(&body[..at.index(body.len())]).is_err());
    }
}
