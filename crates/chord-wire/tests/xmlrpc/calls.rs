//! Calls and answers: their exact form, their fields, their numbers.

use super::*;

/// The fields are those of wire.md, section 2; the shape is that of section 3.
#[test]
fn a_call_and_its_answer_are_written_exactly_so() {
    let put = Request::Put { key: "a&b".to_owned(), value: " <1>\r\n".to_owned(), no_redirect: false };
    assert_eq!(
        text(encode_call(&put).unwrap()),
        "<?xml version=\"1.0\"?><methodCall><methodName>put</methodName><params><param><value><struct>\
         <member><name>key</name><value><string>a&amp;b</string></value></member>\
         <member><name>value</name><value><string> &lt;1&gt;&#13;\n</string></value></member>\
         <member><name>no_redirect</name><value><boolean>0</boolean></value></member>\
         </struct></value></param></params></methodCall>"
    );
    let absent = Answer::Get { storage_node: name("127.0.0.1:4567"), hops: 2, value: None };
    assert_eq!(
        text(encode_answer(&absent).unwrap()),
        "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct>\
         <member><name>storage_node</name><value><string>127.0.0.1:4567</string></value></member>\
         <member><name>hops</name><value><int>2</int></value></member>\
         <member><name>value</name><value><nil/></value></member>\
         <member><name>found</name><value><boolean>0</boolean></value></member>\
         </struct></value></param></params></methodResponse>"
    );
    assert_eq!(
        text(encode_fault(Code::NoRoute, "no <live> node")),
        "<?xml version=\"1.0\"?><methodResponse><fault><value><struct>\
         <member><name>faultCode</name><value><int>113</int></value></member>\
         <member><name>faultString</name><value><string>no &lt;live&gt; node</string></value></member>\
         </struct></value></fault></methodResponse>"
    );
}

#[test]
fn every_command_has_the_fields_that_json_gives_it() {
    let list = Answer::SuccessorList(names(&[1, 2]));
    let body = text(encode_answer(&list).unwrap());
    let entries = "<value><string>127.0.0.1:1</string></value><value><string>127.0.0.1:2</string></value>";
    assert!(
        body.contains(&format!("<name>successor_list</name><value><array><data>{entries}</data>")),
        "{body}"
    );
    let empty = "<value><struct></struct></value>";
    for request in [
        Request::Node,
        Request::Create,
        Request::GetPredecessor,
        Request::GetSuccessorList,
        Request::Shutdown,
    ] {
        let body = text(encode_call(&request).unwrap());
        assert!(body.contains(&format!("<params><param>{empty}</param></params>")), "{body}");
    }
    assert!(text(encode_answer(&Answer::Done).unwrap()).contains(empty));
}

#[test]
fn a_method_without_fields_needs_no_parameter() {
    let without = "<methodCall><methodName>node</methodName></methodCall>";
    for body in [without, &call("node", &[]), &call_of("node", &[]), &call("node", &["<struct/>"])] {
        assert_eq!(decoded(body), Ok(Call::Seed(Request::Node)), "{body}");
    }
    let missing = BadBody::Missing { field: "key" };
    let get = Method::Seed(Command::Get);
    assert_eq!(refused(&call("get", &[])), BadCall::Field { method: get, fault: missing });
}

#[test]
fn another_number_of_parameters_or_another_type_is_told_with_an_example() {
    let good = struct_of(&[("key", "k")]);
    let list = "<array><data></data></array>";
    for params in
        [&[&good[..], &good][..], &["foo"], &["<int>5</int>"], &[list], &["<nil/>"], &["<double>1</double>"]]
    {
        let bad = refused(&call("get", params));
        assert_eq!(bad, BadCall::Arity(Method::Seed(Command::Get)));
        assert_eq!(bad.to_string(), r#"get takes one parameter, a struct like {"key": "foo"}"#);
        assert_eq!(bad.code(), Code::BadRequest);
    }
    for (method, params) in [
        ("system.listMethods", &["x"][..]),
        ("system.methodHelp", &[]),
        ("system.methodHelp", &["<int>1</int>"]),
        ("system.methodSignature", &["get", "put"]),
        ("system.multicall", &[]),
        ("system.multicall", &["get"]),
    ] {
        assert_eq!(refused(&call(method, params)), BadCall::Arity(Method::from_name(method).unwrap()));
    }
}

#[test]
fn unknown_fields_are_ignored_whatever_they_hold_and_missing_optional_ones_filled_in() {
    let others = [
        "<double>1.5</double>",
        "<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>",
        "<base64>AAEC</base64>",
        "<ex:float>x</ex:float>",
        "<ex:dateTime>now</ex:dateTime>",
        "<strange><value><deep/></value></strange>",
        "<nil/>",
        "<boolean>maybe</boolean>",
        "<int>99999999999999999999999</int>",
        "<array><data><value><struct/></value></data></array>",
    ];
    for other in others {
        let fields = [("ttl", other), ("key", "k"), ("ttl", other), ("value", "v")];
        let put = Request::Put { key: "k".to_owned(), value: "v".to_owned(), no_redirect: false };
        assert_eq!(decoded(&call_of("put", &fields)), Ok(Call::Seed(put)), "{other}");
        let bad = refused(&call_of("get", &[("key", other)]));
        let fault = BadBody::WrongType { field: "key", wanted: Wanted::String };
        assert_eq!(bad, BadCall::Field { method: Method::Seed(Command::Get), fault }, "{other}");
    }
}

#[test]
fn a_field_twice_is_refused() {
    let bad = refused(&call_of("get", &[("key", "a"), ("key", "b")]));
    let fault = BadBody::Duplicate { field: "key" };
    assert_eq!(bad, BadCall::Field { method: Method::Seed(Command::Get), fault });
}

#[test]
fn a_whole_number_is_a_position_and_a_string_is_a_key() {
    let position = |value: u64| Target::Position(Position::from(value));
    let key = |text: &str| Target::Key(text.to_owned());
    let largest = i64::MAX.to_string();
    let cases = [
        ("<int>5</int>", position(5)),
        ("<i4>5</i4>", position(5)),
        ("<i8>5</i8>", position(5)),
        ("<ex:i8>5</ex:i8>", position(5)),
        ("<int> +0005\n</int>", position(5)),
        ("<int>-0</int>", position(0)),
        ("<int>2147483647</int>", position((1 << 31) - 1)),
        ("<i8>2147483648</i8>", position(1 << 31)),
        (&format!("<i8>{largest}</i8>"), position(i64::MAX as u64)),
        ("<string>5</string>", key("5")),
        ("5", key("5")),
        (" 5 ", key(" 5 ")),
        ("", key("")),
        ("<string/>", key("")),
    ];
    for (value, target) in cases {
        let found = decoded(&call_of("find_successor", &[("key", value)]));
        assert_eq!(found, Ok(Call::Seed(Request::FindSuccessor { target })), "{value}");
    }
}

#[test]
fn a_number_that_does_not_fit_is_refused_by_its_field() {
    let method = Method::Seed(Command::FindSuccessor);
    let too_large = BadBody::TooLarge { field: "key" };
    let wrong = BadBody::WrongType { field: "key", wanted: Wanted::Target };
    let long = "9".repeat(100_000);
    for (digits, fault) in [
        ("9223372036854775808", too_large),
        ("-9223372036854775809", too_large),
        (&long, too_large),
        ("-1", wrong),
        ("-9223372036854775808", wrong),
        ("", wrong),
        ("0x10", wrong),
        ("1.0", wrong),
        ("+-5", wrong),
        ("5 5", wrong),
        ("\u{665}", wrong),
    ] {
        let bad = refused(&call_of("find_successor", &[("key", &format!("<i8>{digits}</i8>"))]));
        assert_eq!(bad, BadCall::Field { method, fault }, "{digits}");
    }
    for tag in ["int", "i4"] {
        for digits in ["2147483648", "-2147483649"] {
            let bad = refused(&call_of("find_successor", &[("key", &format!("<{tag}>{digits}</{tag}>"))]));
            assert_eq!(bad, BadCall::Field { method, fault: too_large }, "{tag} {digits}");
        }
    }
    let hops = |digits: &str| {
        let fields = [("node", "h:1"), ("hops", &format!("<i8>{digits}</i8>")[..])];
        decode_answer(Command::FindSuccessor, response(&struct_of(&fields)).as_bytes())
    };
    let count = BadBody::WrongType { field: "hops", wanted: Wanted::Count };
    assert_eq!(hops("-1").unwrap_err().fault, count);
    assert_eq!(hops("4294967296").unwrap_err().fault, count);
    assert_eq!(hops("99999999999999999999").unwrap_err().fault, BadBody::TooLarge { field: "hops" });
    assert_eq!(hops("4294967295"), Ok(Ok(Answer::FindSuccessor { node: name("h:1"), hops: u32::MAX })));
}

#[test]
fn numbers_are_written_as_narrow_as_they_are() {
    let written = |position: Position| {
        encode_call(&Request::FindSuccessor { target: Target::Position(position) }).map(text)
    };
    for (value, element) in [
        (0, "<int>0</int>"),
        ((1 << 31) - 1, "<int>2147483647</int>"),
        (1 << 31, "<i8>2147483648</i8>"),
        ((1 << 63) - 1, "<i8>9223372036854775807</i8>"),
    ] {
        let body = written(Position::from(value)).unwrap();
        assert!(body.contains(element), "{body}");
    }
    for position in [Position::from(1 << 63), Position::MAX] {
        let refused = written(position).unwrap_err();
        assert_eq!(refused, NotXml::Number { field: "key" });
        assert!(refused.to_string().contains("cannot be said in XML-RPC"));
    }
}
