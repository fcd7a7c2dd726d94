//! XML-RPC: exact bytes, round trips, what is accepted and what is refused. What Python makes of it is tested
//! in `xmlrpc_python.rs`.

mod messages;

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

#[test]
fn any_way_to_write_the_same_xml_is_read_the_same() {
    let tight = call_of("get", &[("key", "<string>foo</string>")]);
    let loose = tight.replace('<', "\n\t <").replace('>', ">\r\n ").replace("foo\r\n", "foo");
    // White space is meant in names and strings; in all others it is not.
    let loose = loose.replace("<name>\r\n key\n\t </name>", "<name>key</name>");
    let loose = loose.replace("<string>\r\n foo\n\t </string>", "<string>foo</string>");
    let inside = |value: &str| call_of("get", &[("key", value)]);
    let bodies = [
        format!("<?xml version='1.0' encoding=\"utf-8\" standalone='yes'?>\n{tight}\n"),
        format!("\u{feff}<?xml version=\"1.0\"?>{tight}"),
        format!(
            "<?xml version=\"1.0\" encoding=\"US-ASCII\"?><?pi <x> ?><!-- <y> -->{tight}<!-- z --> <?p?>"
        ),
        loose,
        inside("foo"),
        inside("<![CDATA[foo]]>"),
        inside("f<!-- - --><![CDATA[o]]>&#111;"),
        inside("<string>&#x66;&#x6F;<?o?>o</string>"),
        inside(" <string>foo</string> "),
        tight.replace("<value>", "<value a = '>' b=\"&lt;\" >"),
        tight.replace(
            "<methodCall>",
            "<methodCall xmlns:ex='http://ws.apache.org/xmlrpc/namespaces/extensions'>",
        ),
        tight.replace("</name>", "</name \n>"),
        tight.replace("<methodName>get", "<methodName>\n get "),
    ];
    for body in bodies {
        assert_eq!(decoded(&body), Ok(get("foo")), "{body}");
    }
}

#[test]
fn texts_are_what_xml_says_they_are() {
    let cases = [
        ("", ""),
        ("<string>  a  </string>", "  a  "),
        ("  ", "  "),
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("<string>a&#13;&#10;b&#xD;</string>", "a\r\nb\r"),
        ("<![CDATA[<&amp;>\r\n]]>", "<&amp;>\n"),
        ("&lt;&gt;&amp;&apos;&quot;", "<>&'\""),
        ("&amp;lt;", "&lt;"),
        ("&#128512;\u{1f600}&#x1F600;", "\u{1f600}\u{1f600}\u{1f600}"),
        ("&#9;\t&#x7f;\u{85}", "\t\t\u{7f}\u{85}"),
        ("a<!-- b -->c", "ac"),
    ];
    for (value, meant) in cases {
        assert_eq!(decoded(&call_of("get", &[("key", value)])), Ok(get(meant)), "{value:?}");
    }
}

#[test]
fn what_xml_cannot_carry_is_refused_when_it_is_written() {
    let put = |key: &str, value: &str| {
        encode_call(&Request::Put { key: key.to_owned(), value: value.to_owned(), no_redirect: true })
    };
    for c in ['\0', '\u{1}', '\u{b}', '\u{c}', '\u{1b}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
        let text = format!("a{c}b");
        assert_eq!(put(&text, "v").unwrap_err(), NotXml::Character { field: "key" });
        assert_eq!(put("k", &text).unwrap_err(), NotXml::Character { field: "value" });
        let answer = Answer::Get { storage_node: name("h:1"), hops: 0, value: Some(text) };
        let refused = encode_answer(&answer).unwrap_err();
        assert_eq!(refused.to_string(), "the field \"value\" holds a character that XML cannot carry");
        assert_eq!(refused.code(), Code::NotText);
    }
}

#[test]
fn what_xml_cannot_carry_is_refused_when_it_is_read() {
    let key = |value: &str| refused(&call_of("get", &[("key", value)]));
    for value in ["\0", "a\u{1}", "<![CDATA[\u{1f}]]>", "<!-- \u{b} -->", "\u{fffe}", "\u{ffff}"] {
        assert!(matches!(key(value), BadCall::Xml(BadXml::Character { .. })), "{value:?}");
    }
    for value in [
        "&#0;",
        "&#1;",
        "&#x1f;",
        "&#xFFFE;",
        "&#xd800;",
        "&#x110000;",
        "&#99999999999;",
        "&#;",
        "&#x;",
        "&#+9;",
        "&#-9;",
        "&#X9;",
    ] {
        assert!(matches!(key(value), BadCall::Xml(BadXml::Character { .. })), "{value:?}");
    }
    for value in ["&nbsp;", "&;", "&AMP;", "&a b;"] {
        assert!(matches!(key(value), BadCall::Xml(BadXml::Entity { .. })), "{value:?}");
    }
}

#[test]
fn no_entity_is_expanded() {
    let call = call_of("get", &[("key", "&a;")]);
    for doctype in [
        "<!DOCTYPE x>",
        "<!doctype x>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]>",
        "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>",
        "<!DOCTYPE x [<!ENTITY b \"ha\"><!ENTITY a \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>",
    ] {
        let body = format!("<?xml version=\"1.0\"?>{doctype}{call}");
        assert_eq!(refused(&body), BadCall::Xml(BadXml::DocumentType), "{doctype}");
    }
}

#[test]
fn other_encodings_are_refused_by_name_unless_they_make_no_difference() {
    let call = call_of("get", &[("key", "ü")]);
    for encoding in ["ISO-8859-1", "utf-16", "windows-1252", "", "UTF-8;"] {
        let declared = |call: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{call}");
        assert_eq!(refused(&declared(&call)), BadCall::Xml(BadXml::Encoding), "{encoding}");
        assert!(decode_call(declared(&call.replace('ü', "u")).as_bytes()).is_ok(), "{encoding}");
    }
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(call.bytes().flat_map(|byte| [byte, 0])).collect();
    assert_eq!(decode_call(&wide), Err(BadCall::Xml(BadXml::NotUtf8)));
}

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
fn a_server_tells_what_can_be_called() {
    assert_eq!(decoded(&call("system.listMethods", &[])), Ok(Call::ListMethods));
    for method in Method::LISTED {
        assert_eq!(Method::from_name(method.name()), Some(method));
        let asked = |about: &str| decoded(&call(about, &[method.name()]));
        assert_eq!(asked("system.methodHelp"), Ok(Call::MethodHelp(method)));
        assert_eq!(asked("system.methodSignature"), Ok(Call::MethodSignature(method)));
        assert!(method.help().ends_with('.') && method.signatures().iter().all(|row| !row.is_empty()));
    }
    let listed = text(encode_call_answer(&CallAnswer::Methods).unwrap());
    for command in Command::ALL {
        let shown = listed.contains(&format!("<string>{command}</string>"));
        assert_eq!(shown, command != Command::Leave, "{command}");
    }
    assert_eq!(listed.matches("<string>").count(), Method::LISTED.len());
    let method = Method::Seed(Command::Get);
    let help = text(encode_call_answer(&CallAnswer::Help(method)).unwrap());
    assert!(help.contains("<value><string>Reads a key"), "{help}");
    let signature = text(encode_call_answer(&CallAnswer::Signature(method)).unwrap());
    let types = "<value><string>struct</string></value>".repeat(2);
    let row = format!("<value><array><data>{types}</data></array></value>");
    assert!(signature.contains(&format!("<value><array><data>{row}</data></array></value>")), "{signature}");
}

/// Every field that help names is one that the codec knows: a call without any names each that must be there.
#[test]
fn help_names_every_field() {
    for command in Command::ALL {
        let (method, mut fields) = (Method::Seed(command), Vec::new());
        while let Err(BadCall::Field { fault: BadBody::Missing { field }, .. }) =
            decoded(&call_of(command.name(), &fields))
        {
            assert!(method.help().contains(field), "{command}: {field}");
            let list = "<array><data></data></array>";
            fields.push((field, if field == "successor_list" { list } else { "h:1" }));
        }
        assert!(decoded(&call_of(command.name(), &fields)).is_ok(), "{command}");
    }
}

fn multicall(calls: &[String]) -> String {
    let calls = each(calls, |call| format!("<value>{call}</value>"));
    call("system.multicall", &[&format!("<array><data>{calls}</data></array>")])
}

fn one_call(method: &str, params: &str) -> String {
    let params = format!("<array><data>{params}</data></array>");
    struct_of(&[("methodName", method), ("params", &params)])
}

#[test]
fn many_calls_come_at_once_and_the_bad_ones_do_not_spoil_the_others() {
    let key = format!("<value>{}</value>", struct_of(&[("key", "k")]));
    let nested = one_call("system.multicall", "<value><array><data/></array></value>");
    let calls = [
        one_call("get", &key),
        one_call("get", ""),
        one_call("rpc", ""),
        one_call("system.listMethods", ""),
        struct_of(&[("methodName", "node")]),
        nested,
        struct_of(&[]),
        "get".to_owned(),
        struct_of(&[("methodName", "node"), ("params", "x")]),
        struct_of(&[("methodName", "node"), ("methodName", "node")]),
    ];
    let wrong = || Err(BadCall::Arity(Method::MultiCall));
    let missing = BadBody::Missing { field: "key" };
    let twice = BadBody::Duplicate { field: "methodName" };
    let expected = vec![
        Ok(get("k")),
        Err(BadCall::Field { method: Method::Seed(Command::Get), fault: missing }),
        Err(BadCall::UnknownMethod),
        Ok(Call::ListMethods),
        Ok(Call::Seed(Request::Node)),
        Err(BadCall::Nested),
        wrong(),
        wrong(),
        wrong(),
        Err(BadCall::Field { method: Method::MultiCall, fault: twice }),
    ];
    assert_eq!(decoded(&multicall(&calls)), Ok(Call::Multi(expected)));
    assert_eq!(decoded(&multicall(&[])), Ok(Call::Multi(Vec::new())));
}

#[test]
fn as_many_calls_are_taken_as_the_limit_says_and_not_one_more() {
    let put = struct_of(&[("key", "k"), ("value", "v"), ("no_redirect", "<boolean>0</boolean>")]);
    let calls = vec![one_call("put", &format!("<value>{put}</value>")); MULTICALL_MAX + 1];
    let Ok(Call::Multi(taken)) = decoded(&multicall(&calls[1..])) else { panic!("at the limit") };
    assert!(taken.len() == MULTICALL_MAX && taken.iter().all(Result::is_ok));
    let bad = refused(&multicall(&calls));
    assert_eq!((bad, bad.code()), (BadCall::TooManyCalls, Code::TooLarge));
}

#[test]
fn an_answer_that_xml_cannot_carry_spoils_only_its_own_place() {
    let got = |value: &str| {
        let value = Some(value.to_owned());
        Ok(CallAnswer::Seed(Answer::Get { storage_node: name("h:1"), hops: 0, value }))
    };
    let answers = vec![got("a"), got("\u{1}"), Err(Fault::new(Code::Busy, "too\u{1b}much")), got("b")];
    let body = text(encode_call_answer(&CallAnswer::Multi(answers)).unwrap());
    let faults: Vec<_> = body.match_indices("faultCode").collect();
    assert_eq!(faults.len(), 2, "{body}");
    assert!(body.contains("<int>105</int>") && body.contains("<int>115</int>"), "{body}");
    assert!(body.contains("too\u{fffd}much") && body.contains("<string>b</string>"), "{body}");
    assert!(!body.contains('\u{1}') && !body.contains('\u{1b}'), "{body}");
    assert_eq!(decode_call(body.as_bytes()).unwrap_err().code(), Code::Malformed, "it is no call, but XML");
}

#[test]
fn a_fault_is_read_with_its_number_and_a_sentence_fit_to_be_shown() {
    let hostile = format!("\u{1b}[2J\u{202e}\n<{}>", "x".repeat(1000));
    let fault = decode_answer(Command::Get, &encode_fault(Code::NoRoute, &hostile)).unwrap().unwrap_err();
    assert_eq!(Code::from_fault_code(fault.code), Some(Code::NoRoute));
    assert_eq!(fault.sentence.chars().count(), chord_wire::ERROR_CHARS_MAX);
    assert!(fault.sentence.contains("[2J<xxx") && !fault.sentence.contains(['\u{1b}', '\u{202e}', '\n']));
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

/// Runs this, which must not take time that grows with the square of a body.
#[expect(clippy::disallowed_methods, reason = "this test is about time")]
fn quickly<T>(what: impl FnOnce() -> T) -> T {
    let begun = std::time::Instant::now();
    let result = what();
    assert!(begun.elapsed().as_secs() < 20, "that took {:?}", begun.elapsed());
    result
}

/// What a body is refused for, both as a call and as an answer.
fn both(body: &str) -> [BadXml; 2] {
    let BadCall::Xml(call) = quickly(|| refused(body)) else { panic!("not refused as XML") };
    let answer = body.replace("methodCall", "methodResponse").replace("<methodName>get</methodName>", "");
    let answer = quickly(|| decode_answer(Command::Get, answer.as_bytes())).expect_err("not refused");
    let BadBody::Xml(answer) = answer.fault else { panic!("not refused as XML") };
    [call, answer]
}

#[test]
fn depth_is_harmless() {
    for depth in [DEPTH_MAX, 10_000] {
        for (open, close) in [
            ("<array><data><value>", "</value></data></array>"),
            ("<struct><member><name>key</name><value>", "</value></member></struct>"),
            ("<strange>", "</strange>"),
        ] {
            let bomb = format!("{}{}", open.repeat(depth), close.repeat(depth));
            for value in [&bomb, &open.repeat(depth)] {
                assert_eq!(both(&call_of("get", &[("key", value)])), [BadXml::TooDeep; 2]);
                assert_eq!(both(&call("get", &[value])), [BadXml::TooDeep; 2]);
            }
        }
    }
    let depth = 1_000_000;
    assert_eq!(both(&call_of("get", &[("key", &"<x>".repeat(depth))])), [BadXml::TooDeep; 2]);
    let arrays = call("get", &[&"<array><data><value>".repeat(depth)]);
    assert_eq!(quickly(|| refused(&arrays)), BadCall::Xml(BadXml::TooDeep));
    assert!(matches!(refused(&"<a>".repeat(depth)), BadCall::Xml(BadXml::NotRpc { .. })));
}

#[test]
fn elements_are_read_as_deep_as_the_limit_says_and_no_deeper() {
    // methodCall, params, param, value, struct, member and value are open already.
    let deep = |depth: usize| format!("{}{}", "<x>".repeat(depth), "</x>".repeat(depth));
    let body = |depth| call_of("get", &[("key", "k"), ("other", &deep(depth))]);
    assert_eq!(decoded(&body(DEPTH_MAX - 7)), Ok(get("k")));
    let bad = refused(&body(DEPTH_MAX - 6));
    assert_eq!((bad, bad.code()), (BadCall::Xml(BadXml::TooDeep), Code::TooLarge));
}

#[test]
fn values_are_read_as_many_as_the_limit_says_and_no_more() {
    // The struct and its key are two.
    let body = |n: usize| {
        let list = format!("<array><data>{}</data></array>", "<value/>".repeat(n));
        call_of("get", &[("other", &list), ("key", "k")])
    };
    assert_eq!(decoded(&body(VALUES_MAX - 3)), Ok(get("k")));
    assert_eq!(refused(&body(VALUES_MAX - 2)), BadCall::Xml(BadXml::TooManyValues));
    assert_eq!(both(&body(1_000_000)), [BadXml::TooManyValues; 2]);
    let members = vec![("x", "<nil/>"); 100_000];
    assert_eq!(both(&call_of("get", &members)), [BadXml::TooManyValues; 2]);
    assert_eq!(both(&call("get", &vec!["<nil/>"; 100_000])), [BadXml::TooManyValues; 2]);
}

#[test]
fn names_are_read_as_long_as_the_limit_says_and_no_longer() {
    let longest = "n".repeat(NAME_BYTES_MAX);
    let longer = "n".repeat(NAME_BYTES_MAX + 1);
    assert_eq!(decoded(&call_of("get", &[(&longest, "x"), ("key", "k")])), Ok(get("k")));
    let refusal = BadCall::Xml(BadXml::LongName);
    assert_eq!(refused(&call_of("get", &[(&longer, "x"), ("key", "k")])), refusal);
    assert_eq!(refused(&call(&longest, &[])), BadCall::UnknownMethod);
    assert_eq!(refused(&call(&longer, &[])), refusal);
}

#[test]
fn a_list_of_the_largest_ring_is_taken_and_one_entry_more_is_not() {
    let list = |entries| fill_successor_list(&name("127.0.0.1:1"), &names(&[2, 3]), entries);
    let answered = |entries| {
        let body = encode_answer(&Answer::SuccessorList(list(entries))).unwrap();
        decode_answer(Command::GetSuccessorList, &body)
    };
    let whole = list(SUCCESSOR_LIST_MAX);
    assert_eq!(answered(SUCCESSOR_LIST_MAX), Ok(Ok(Answer::SuccessorList(whole))));
    let refused = answered(SUCCESSOR_LIST_MAX + 1).unwrap_err();
    assert_eq!(refused.fault, BadBody::TooMany { field: "successor_list" });
    assert_eq!(answered(0), Ok(Ok(Answer::SuccessorList(Vec::new()))));
}

#[test]
fn a_list_is_handed_over_by_a_leaver_within_the_depth() {
    let leaving = Leaving { node: name("h:1"), predecessor: None, successor_list: names(&[1, 2]) };
    let request = Request::Leave(leaving);
    let body = text(encode_call(&request).unwrap());
    let inner = body.split_once("<param>").unwrap().1.split_once("</param>").unwrap().0;
    let many = multicall(&[one_call("leave", inner)]);
    assert_eq!(decoded(&many), Ok(Call::Multi(vec![Ok(Call::Seed(request))])));
}

#[test]
fn long_bodies_of_little_meaning_take_little_time() {
    let n = 50_000;
    let value = |value: &str| call_of("get", &[("key", value)]);
    assert_eq!(quickly(|| decoded(&value(&"&amp;".repeat(n)))), Ok(get(&"&".repeat(n))));
    assert_eq!(quickly(|| decoded(&value(&"<!---->a".repeat(n)))), Ok(get(&"a".repeat(n))));
    assert_eq!(quickly(|| decoded(&value(&"<![CDATA[a]]>".repeat(n)))), Ok(get(&"a".repeat(n))));
    assert_eq!(quickly(|| decoded(&value(&"\r".repeat(n)))), Ok(get(&"\n".repeat(n))));
    let attributes = " a=\"\"".repeat(n);
    let wide = value("k").replace("<methodCall>", &format!("<methodCall{attributes}>"));
    assert_eq!(quickly(|| decoded(&wide)), Ok(get("k")));
    for part in [
        "<!-",
        "<!--",
        "<![",
        "<![CDATA[",
        "]]",
        "<?",
        "&",
        "&#",
        "<",
        "'",
        "<a '",
        "<!D",
        "<!DOCTYPE [<",
        "-->",
    ] {
        for body in [part.repeat(n), value(&part.repeat(n)), format!("<!DOCTYPE x [{}", part.repeat(n))] {
            quickly(|| {
                let _ = decoded(&body);
            });
        }
    }
}

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
