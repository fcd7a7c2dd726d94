//! Texts, and what XML may look like.

use super::*;

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
