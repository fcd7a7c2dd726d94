//! Limits on what is read, and on how long that takes.

use super::*;

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
