//! What is no call and no answer, and how that is told.

use super::*;

#[test]
fn what_is_not_xml_rpc_is_refused() {
    let good = call_of("get", &[("key", "<string>k</string>")]);
    let not_xml = [
        "<",
        "<methodCall",
        "<methodCall>",
        "</methodCall>",
        "<methodCall></methodcall>",
        "<methodCall><methodName>get</methodCall></methodName>",
        "<!-- ",
        "<![CDATA[",
        "<?xml",
        "<?xml version=\"1.0\" encoding=\"utf-8?>",
        "<methodCall><methodName>get & put</methodName></methodCall>",
        "<methodCall a></methodCall>",
        "<methodCall a=b></methodCall>",
        "<methodCall <b>></methodCall>",
        "<></>",
        &good.replace("</struct>", ""),
        &good[..good.len() - 1],
        &format!(" <?xml version=\"1.0\"?>{good}"),
        &format!("{good}<?xml version=\"1.0\"?>"),
        &format!("{good}<!-- "),
    ];
    for body in not_xml {
        let bad = refused(body);
        assert!(matches!(bad, BadCall::Xml(BadXml::NotXml { .. })), "{bad:?} {body}");
        assert_eq!(bad.code(), Code::Malformed);
    }
    let not_rpc = [
        "",
        " \n",
        "{\"key\": \"foo\"}",
        "key",
        "<html></html>",
        "<methodCall/>",
        "<methodCall><params/></methodCall>",
        "<methodCall>get</methodCall>",
        "<methodCall><methodName><value>get</value></methodName></methodCall>",
        "<methodCall><methodName>get</methodName><param/></methodCall>",
        "<methodCall><methodName>get</methodName><params><value>k</value></params></methodCall>",
        "<methodCall><methodName>get</methodName><params><param/></params></methodCall>",
        "<methodCall><methodName>get</methodName><params/><params/></methodCall>",
        &response("<struct/>"),
        &format!("{good}{good}"),
        &format!("{good}x"),
        &format!("x{good}"),
        &call("get", &["a<struct/>"]),
        &call("get", &["<struct/>a"]),
        &call("get", &["<struct/><struct/>"]),
        &call("get", &["<struct>a</struct>"]),
        &call("get", &["<struct><value/></struct>"]),
        &call("get", &["<struct><member/></struct>"]),
        &call("get", &["<struct><member><value/><name>key</name></member></struct>"]),
        &call("get", &["<struct><member><name>key</name></member></struct>"]),
        &call("get", &["<struct><member><name>key</name><value/><value/></member></struct>"]),
        &call("get", &["<array/>"]),
        &call("get", &["<array><value/></array>"]),
        &call("get", &["<array><data><int>1</int></data></array>"]),
        &call("get", &["<array><data/><data/></array>"]),
        &call("get", &["<nil>0</nil>"]),
        &call("get", &["<value>k</value>"]),
        &call("get", &["<string><b>k</b></string>"]),
        &call("get", &["<int><i4>5</i4></int>"]),
    ];
    for body in not_rpc {
        let bad = refused(body);
        assert!(matches!(bad, BadCall::Xml(BadXml::NotRpc { .. })), "{bad:?} {body}");
        assert_eq!(bad.code(), Code::Malformed);
    }
    assert_eq!(decode_call(b"<methodCall>\xff</methodCall>"), Err(BadCall::Xml(BadXml::NotUtf8)));
}

#[test]
fn the_place_is_told_where_a_body_goes_wrong() {
    for (body, at_byte) in
        [("<methodCall></methodcall>", 12), ("<methodCall><methodName", 12), ("<methodCall><!-- ", 12)]
    {
        assert_eq!(refused(body), BadCall::Xml(BadXml::NotXml { at_byte }), "{body}");
    }
    let wanted = "<methodName>";
    let bad = refused("<methodCall> <params/>");
    assert_eq!(bad, BadCall::Xml(BadXml::NotRpc { wanted, at_byte: 22 }));
    assert_eq!(bad.to_string(), "the body is not XML-RPC: <methodName> is missing at byte 22");
    let body = call_of("get", &[("key", "a\u{1}")]);
    let at_byte = body.find('\u{1}').unwrap() as u64;
    assert_eq!(refused(&body), BadCall::Xml(BadXml::Character { at_byte }));
}

#[test]
fn a_bad_field_is_told_as_in_json() {
    let cases = [
        (
            "join",
            vec![("remote_node", "localhost")],
            BadBody::NotAName { field: "remote_node", error: NodeNameError::NoPort },
        ),
        ("notify", vec![], BadBody::Missing { field: "remote_node" }),
        (
            "notify",
            vec![("remote_node", "<int>1</int>")],
            BadBody::WrongType { field: "remote_node", wanted: Wanted::StringOrNull },
        ),
        (
            "put",
            vec![("key", "k"), ("value", "v"), ("no_redirect", "<int>1</int>")],
            BadBody::WrongType { field: "no_redirect", wanted: Wanted::Boolean },
        ),
        (
            "put",
            vec![("key", "k"), ("value", "v"), ("no_redirect", "<boolean>2</boolean>")],
            BadBody::WrongType { field: "no_redirect", wanted: Wanted::Boolean },
        ),
        (
            "find_successor",
            vec![("key", "<nil/>")],
            BadBody::WrongType { field: "key", wanted: Wanted::Target },
        ),
    ];
    for (method, fields, fault) in cases {
        let bad = refused(&call_of(method, &fields));
        assert_eq!(bad, BadCall::Field { method: Method::from_name(method).unwrap(), fault });
        assert_eq!(bad.code(), Code::BadRequest);
    }
    let bad = refused(&call_of("get", &[]));
    let shown = "the field \"key\" is missing; get takes one parameter, a struct like {\"key\": \"foo\"}";
    assert_eq!(bad.to_string(), shown);
}

#[test]
fn an_unknown_method_is_no_parse_error() {
    for method in ["", "GET", "rpc", "system.", "system.shutdown", "get.put"] {
        let bad = refused(&call(method, &["<struct/>"]));
        assert_eq!((bad, bad.code()), (BadCall::UnknownMethod, Code::UnknownCommand), "{method}");
    }
    assert_eq!(refused(&call("system.methodHelp", &["rpc"])), BadCall::UnknownMethod);
}

#[test]
fn a_fault_is_read_with_its_number_and_a_sentence_fit_to_be_shown() {
    let hostile = format!("\u{1b}[2J\u{202e}\n<{}>", "x".repeat(1000));
    let fault = decode_answer(Command::Get, &encode_fault(Code::NoRoute, &hostile)).unwrap().unwrap_err();
    assert_eq!(Code::from_fault_code(fault.code), Some(Code::NoRoute));
    assert_eq!(fault.sentence.chars().count(), chord_wire::ERROR_CHARS_MAX);
    // XML cannot carry an escape character, so it has become another on the way.
    assert!(fault.sentence.starts_with("\u{fffd}[2J\\u{202e}\\u{a}<xxx"), "{}", fault.sentence);
    assert!(!fault.sentence.contains(['\u{1b}', '\u{202e}', '\n']));
    for code in Code::ALL {
        let fault = decode_answer(Command::Put, &encode_fault(code, "why")).unwrap().unwrap_err();
        assert_eq!((fault.code, &fault.sentence[..]), (code.fault_code(), "why"));
    }
    let broken = |fields: &[(&str, &str)]| {
        let value = struct_of(fields);
        let body = format!("<methodResponse><fault><value>{value}</value></fault></methodResponse>");
        decode_answer(Command::Get, body.as_bytes()).unwrap_err().fault
    };
    let number = BadBody::WrongType { field: "faultCode", wanted: Wanted::Int };
    assert_eq!(broken(&[("faultString", "s")]), number);
    assert_eq!(broken(&[("faultCode", "1"), ("faultString", "s")]), number);
    assert_eq!(broken(&[("faultCode", "<i8>2147483648</i8>"), ("faultString", "s")]), number);
    assert_eq!(broken(&[("faultCode", "<int>1</int>")]), BadBody::Missing { field: "faultString" });
}

#[test]
fn bad_answers_are_told_by_their_field() {
    let bad = |command, body: &str| decode_answer(command, body.as_bytes()).unwrap_err();
    let shown = bad(Command::Get, &response(&struct_of(&[("storage_node", "h:1")])));
    assert_eq!(shown, BadAnswer { command: Command::Get, fault: BadBody::Missing { field: "value" } });
    assert_eq!(shown.to_string(), "the answer to get cannot be understood: the field \"value\" is missing");
    let found = struct_of(&[("storage_node", "h:1"), ("found", "<boolean>1</boolean>"), ("value", "<nil/>")]);
    assert_eq!(bad(Command::Get, &response(&found)).fault, BadBody::FoundNothing);
    let one = BadBody::Xml(BadXml::NotOneStruct);
    assert_eq!(bad(Command::Create, &response("<nil/>")).fault, one);
    assert_eq!(bad(Command::Create, "<methodResponse><params/></methodResponse>").fault, one);
    for body in
        ["<!doctype html><html></html>", "<html>", "", "{}", &call_of("get", &[]), "<methodResponse/>"]
    {
        assert!(matches!(bad(Command::Node, body).fault, BadBody::Xml(_)), "{body}");
    }
}

#[test]
fn no_error_repeats_what_was_sent() {
    let secret = "hunter2";
    let bodies = [
        call("hunter2", &[]),
        call("get", &["hunter2"]),
        call_of("hunter2", &[("hunter2", "hunter2")]),
        call_of("find_successor", &[("key", "<int>hunter2</int>")]),
        call_of("join", &[("remote_node", "hunter2")]),
        call_of("get", &[("key", "&hunter2;")]),
        call_of("get", &[("key", "<hunter2>")]),
        call_of("get", &[("key", "</hunter2>")]),
        "<?xml version=\"1.0\" encoding=\"hunter2\"?>".to_owned(),
        "<!DOCTYPE hunter2>".to_owned(),
        "<hunter2".to_owned(),
        response(&struct_of(&[
            ("node", "hunter2"),
            ("storage_node", "hunter2"),
            ("successor_list", "hunter2"),
        ])),
    ];
    for body in bodies {
        let bad = refused(&body);
        assert!(!format!("{bad} {bad:?}").contains(secret), "{bad}");
        for command in Command::ALL {
            if let Err(bad) = decode_answer(command, body.as_bytes()) {
                assert!(!format!("{bad} {bad:?}").contains(secret), "{bad}");
            }
        }
    }
}
