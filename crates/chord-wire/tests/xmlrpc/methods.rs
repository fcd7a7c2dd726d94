//! What a server tells of its methods, and many calls at once.

use super::*;

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
