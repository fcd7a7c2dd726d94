//! XML-RPC against Python's own `xmlrpc.client`, in both directions.

use std::io::Write;
use std::process::{Command as Process, Stdio};

use chord_ring::{NodeName, Position};
use chord_wire::seed::{Answer, Leaving, Request, Target};
use chord_wire::xmlrpc::{
    BadCall, BadXml, Call, CallAnswer, Fault, Method, decode_answer, decode_call, encode_answer, encode_call,
    encode_call_answer, encode_fault,
};
use chord_wire::{Code, Command};
use serde_json::{Value, json};

/// Reads bodies and says what is in them: the parameters and the method, or the fault.
const LOADS: &str = "
import json, sys, xmlrpc.client as x
for line in sys.stdin.read().split():
    try:
        print(json.dumps(x.loads(bytes.fromhex(line))))
    except x.Fault as fault:
        print(json.dumps({'fault': fault.faultCode, 'sentence': fault.faultString}))
";

/// Writes the body of a call, or, without a method, of an answer.
const DUMPS: &str = "
import json, sys, xmlrpc.client as x
for line in sys.stdin.read().split('\\n')[:-1]:
    method, params, encoding = json.loads(line)
    params = x.Fault(*params) if method is None and type(params[0]) is int else tuple(params)
    body = x.dumps(params, method, allow_none=True, encoding=encoding, methodresponse=method is None)
    print(body.encode(encoding or 'utf-8').hex())
";

/// Makes many calls at once, as a user of Python does, and says what they yield.
const MULTICALL: &str = "
import json, sys, xmlrpc.client as x
lines = sys.stdin.read().split()
class Server:
    def __init__(self): self.system = self
    def multicall(self, calls):
        self.calls = calls
        return x.loads(bytes.fromhex(lines[0]))[0][0] if lines else []
server = Server()
calls = x.MultiCall(server)
calls.get({'key': 'k'})
calls.system.listMethods()
calls.nonsense(1, 2)
results = calls()
if not lines:
    print(x.dumps((server.calls,), 'system.multicall').encode().hex())
for place in range(len(lines) and 3):
    try:
        print(json.dumps(results[place]))
    except x.Fault as fault:
        print(json.dumps({'fault': fault.faultCode, 'sentence': fault.faultString}))
";

/// What Python prints, line by line, when it is given these lines.
fn python(script: &str, lines: &[String]) -> Vec<String> {
    let mut child = Process::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    // Python reads everything before it writes, so neither waits for the other.
    let input = [lines.join("\n"), String::new()].join("\n");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "Python failed");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn unhex(line: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("Python prints hex");
    (0..line.len()).step_by(2).map(byte).collect()
}

/// What Python finds in each of those bodies.
fn loaded(bodies: &[Vec<u8>]) -> Vec<Value> {
    let lines: Vec<String> = bodies.iter().map(|body| hex(body)).collect();
    let found = python(LOADS, &lines);
    assert_eq!(found.len(), bodies.len());
    found.iter().map(|line| serde_json::from_str(line).expect("Python prints JSON")).collect()
}

/// The bodies that Python writes for each method, its parameters and an encoding.
fn dumped(calls: &[Value]) -> Vec<Vec<u8>> {
    let found = python(DUMPS, &calls.iter().map(Value::to_string).collect::<Vec<_>>());
    assert_eq!(found.len(), calls.len());
    found.iter().map(|line| unhex(line)).collect()
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

/// Texts that a careless codec bends.
const TEXTS: [&str; 16] = [
    "",
    "foo",
    " ",
    "  both ends\t",
    "\n",
    "\r",
    "a\r\nb\r\rc\n",
    "<&>\"'",
    "&amp;&#13;",
    "]]>",
    "<![CDATA[x]]>",
    "<!-- x -->",
    "\u{1f600} \u{1f468}\u{200d}\u{1f469}",
    "gr\u{fc}\u{df} \u{4e2d}\u{6587}",
    "\u{7f}\u{85}\u{2028}\u{fffd}\u{e000}\u{d7ff}",
    "\u{10ffff}",
];

#[test]
fn python_reads_every_call_of_ours() {
    let key = |key: &str| Request::Get { key: key.to_owned() };
    let position = |value: u64| Request::FindSuccessor { target: Target::Position(Position::from(value)) };
    let leaving = Leaving {
        node: name("h:1"),
        predecessor: None,
        successor_list: ["h:2", "[::1]:3"].map(name).to_vec(),
    };
    let alone = Leaving { successor_list: Vec::new(), predecessor: Some(name("h:2")), ..leaving.clone() };
    let mut cases: Vec<(Request, Value)> = vec![
        (Request::Node, json!({})),
        (Request::Join { remote: name("127.0.0.1:4567") }, json!({"remote_node": "127.0.0.1:4567"})),
        (Request::Notify { remote: None }, json!({"remote_node": null})),
        (Request::Notify { remote: Some(name("h:1")) }, json!({"remote_node": "h:1"})),
        (position(0), json!({"key": 0})),
        (position((1 << 31) - 1), json!({"key": 2_147_483_647})),
        (position(1 << 31), json!({"key": 2_147_483_648_u64})),
        (position((1 << 63) - 1), json!({"key": i64::MAX})),
        (Request::FindSuccessor { target: Target::Key("5".to_owned()) }, json!({"key": "5"})),
        (
            Request::Leave(leaving),
            json!({"node": "h:1", "predecessor": null, "successor_list": ["h:2", "[::1]:3"]}),
        ),
        (Request::Leave(alone), json!({"node": "h:1", "predecessor": "h:2", "successor_list": []})),
    ];
    cases.extend(TEXTS.map(|text| (key(text), json!({"key": text}))));
    cases.extend(TEXTS.map(|text| {
        let put = Request::Put { key: text.to_owned(), value: text.to_owned(), no_redirect: true };
        (put, json!({"key": text, "value": text, "no_redirect": true}))
    }));
    let bodies: Vec<_> = cases.iter().map(|(request, _)| encode_call(request).unwrap()).collect();
    for (found, (request, fields)) in loaded(&bodies).into_iter().zip(cases) {
        assert_eq!(found, json!([[fields], request.command().name()]), "{request:?}");
    }
}

#[test]
fn python_reads_every_answer_of_ours() {
    let node = || name("127.0.0.1:4567");
    let got =
        |value: Option<&str>| Answer::Get { storage_node: node(), hops: 3, value: value.map(str::to_owned) };
    let found = |value: Option<&str>| json!({"storage_node": "127.0.0.1:4567", "hops": 3, "value": value, "found": value.is_some()});
    let mut cases = vec![
        (Answer::Done, json!({})),
        (
            Answer::Node { node: node(), is_alive: false },
            json!({"node": "127.0.0.1:4567", "is_alive": false}),
        ),
        (
            Answer::FindSuccessor { node: node(), hops: u32::MAX },
            json!({"node": "127.0.0.1:4567", "hops": u32::MAX}),
        ),
        (Answer::Predecessor(None), json!({"node": null})),
        (Answer::SuccessorList(Vec::new()), json!({"successor_list": []})),
        (
            Answer::SuccessorList(vec![node(), name("h:1")]),
            json!({"successor_list": ["127.0.0.1:4567", "h:1"]}),
        ),
        (Answer::Put { storage_node: node(), hops: 0 }, json!({"storage_node": "127.0.0.1:4567", "hops": 0})),
        (got(None), found(None)),
    ];
    cases.extend(TEXTS.map(|text| (got(Some(text)), found(Some(text)))));
    let bodies: Vec<_> = cases.iter().map(|(answer, _)| encode_answer(answer).unwrap()).collect();
    for (found, (answer, fields)) in loaded(&bodies).into_iter().zip(cases) {
        assert_eq!(found, json!([[fields], null]), "{answer:?}");
    }
}

#[test]
fn python_raises_our_faults_whatever_their_sentence() {
    let mut sentences: Vec<(String, String)> = TEXTS.map(|text| (text.to_owned(), text.to_owned())).to_vec();
    let controls: String = ('\0'..' ').chain(['\u{fffe}', '\u{ffff}']).collect();
    let replaced = controls.replace(|c| !"\t\n\r".contains(c), "\u{fffd}");
    sentences.push((controls, replaced));
    let bodies: Vec<_> = sentences.iter().map(|(said, _)| encode_fault(Code::NoRoute, said)).collect();
    for (found, (_, heard)) in loaded(&bodies).into_iter().zip(sentences) {
        assert_eq!(found, json!({"fault": 113, "sentence": heard}));
    }
}

#[test]
fn python_reads_what_we_tell_about_ourselves() {
    let get = Method::Seed(Command::Get);
    let answers = [
        (CallAnswer::Methods, json!(Method::LISTED.map(Method::name))),
        (CallAnswer::Help(get), json!(get.help())),
        (CallAnswer::Signature(get), json!([["struct", "struct"]])),
        (CallAnswer::Signature(Method::Seed(Command::Node)), json!([["struct"], ["struct", "struct"]])),
        (CallAnswer::Multi(Vec::new()), json!([])),
    ];
    let bodies: Vec<_> = answers.iter().map(|(answer, _)| encode_call_answer(answer).unwrap()).collect();
    for (found, (_, value)) in loaded(&bodies).into_iter().zip(answers) {
        assert_eq!(found, json!([[value], null]));
    }
}

/// Python writes `\r` plainly, so XML makes it the end of a line.
fn from_python(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[test]
fn we_read_every_call_of_pythons() {
    let mut cases: Vec<(Value, Request)> = vec![
        (json!(["node", [{}], null]), Request::Node),
        (json!(["node", [], null]), Request::Node),
        (json!(["notify", [{"remote_node": null}], null]), Request::Notify { remote: None }),
        (json!(["join", [{"remote_node": "h:1"}], "us-ascii"]), Request::Join { remote: name("h:1") }),
        (
            json!(["find_successor", [{"key": 2_147_483_647}], null]),
            Request::FindSuccessor { target: Target::Position(Position::from(2_147_483_647)) },
        ),
        (
            json!(["get", [{"ttl": [1.5, -7, {"a": [null]}], "key": "k"}], null]),
            Request::Get { key: "k".to_owned() },
        ),
        (
            json!(["leave", [{"node": "h:1", "predecessor": "h:2", "successor_list": []}], null]),
            Request::Leave(Leaving {
                node: name("h:1"),
                predecessor: Some(name("h:2")),
                successor_list: Vec::new(),
            }),
        ),
    ];
    cases.extend(TEXTS.map(|text| {
        let fields = json!({"key": text, "value": text, "no_redirect": true});
        let [key, value] = [text; 2].map(from_python);
        (json!(["put", [fields], null]), Request::Put { key, value, no_redirect: true })
    }));
    let calls: Vec<_> = cases.iter().map(|(call, _)| call.clone()).collect();
    for (body, (call, request)) in dumped(&calls).into_iter().zip(cases) {
        assert_eq!(decode_call(&body), Ok(Call::Seed(request)), "{call}");
    }
}

#[test]
fn we_read_every_answer_of_pythons() {
    let mut cases: Vec<(Value, Command, Answer)> = vec![
        (json!({}), Command::Create, Answer::Done),
        (json!({"node": null}), Command::GetPredecessor, Answer::Predecessor(None)),
        (
            json!({"successor_list": ["h:1", "h:2", "h:1"]}),
            Command::GetSuccessorList,
            Answer::SuccessorList(["h:1", "h:2", "h:1"].map(name).to_vec()),
        ),
        (
            json!({"storage_node": "h:1", "hops": 0, "value": null, "found": false}),
            Command::Get,
            Answer::Get { storage_node: name("h:1"), hops: 0, value: None },
        ),
    ];
    cases.extend(TEXTS.map(|text| {
        let fields = json!({"storage_node": "h:1", "hops": 2, "value": text, "found": true});
        let answer = Answer::Get { storage_node: name("h:1"), hops: 2, value: Some(from_python(text)) };
        (fields, Command::Get, answer)
    }));
    let calls: Vec<_> = cases.iter().map(|(fields, ..)| json!([null, [fields], null])).collect();
    for (body, (fields, command, answer)) in dumped(&calls).into_iter().zip(cases) {
        assert_eq!(decode_answer(command, &body), Ok(Ok(answer)), "{fields}");
    }
}

#[test]
fn we_read_pythons_faults_and_refuse_its_other_encodings_where_they_differ() {
    let bodies = dumped(&[
        json!([null, [1, "<class 'KeyError'>:'foo'"], null]),
        json!([null, [-32_601, ""], null]),
        json!(["get", [{"key": "k"}], "iso-8859-1"]),
        json!(["get", [{"key": "\u{fc}"}], "iso-8859-1"]),
        json!(["get", [{"key": "\u{fc}"}], "utf-16"]),
        json!(["get", [{"key": "a\u{1}b"}], null]),
        json!(["get", [{"key": -1}], null]),
        json!(["rpc", [1, 2], null]),
    ]);
    let fault = |code, sentence: &str| Ok(Err(Fault { code, sentence: sentence.to_owned() }));
    assert_eq!(decode_answer(Command::Get, &bodies[0]), fault(1, "<class 'KeyError'>:'foo'"));
    assert_eq!(decode_answer(Command::Get, &bodies[1]), fault(-32_601, ""));
    let plain = Request::Get { key: "k".to_owned() };
    assert_eq!(decode_call(&bodies[2]), Ok(Call::Seed(plain)), "ASCII alone is the same in all of them");
    assert_eq!(decode_call(&bodies[3]), Err(BadCall::Xml(BadXml::NotUtf8)));
    assert_eq!(decode_call(&bodies[4]), Err(BadCall::Xml(BadXml::NotUtf8)));
    assert!(matches!(decode_call(&bodies[5]), Err(BadCall::Xml(BadXml::Character { .. }))));
    assert!(matches!(decode_call(&bodies[6]), Err(BadCall::Field { .. })));
    assert_eq!(decode_call(&bodies[7]), Err(BadCall::UnknownMethod));
}

#[test]
fn pythons_multicall_gets_an_answer_or_a_fault_for_each_call() {
    let [body] = &python(MULTICALL, &[])[..] else { panic!("one body") };
    let get = Call::Seed(Request::Get { key: "k".to_owned() });
    let expected = vec![Ok(get), Ok(Call::ListMethods), Err(BadCall::UnknownMethod)];
    assert_eq!(decode_call(&unhex(body)), Ok(Call::Multi(expected)));

    let got = Answer::Get { storage_node: name("h:1"), hops: 0, value: Some("v".to_owned()) };
    let unknown = BadCall::UnknownMethod;
    let answers = vec![
        Ok(CallAnswer::Seed(got)),
        Ok(CallAnswer::Methods),
        Err(Fault::new(unknown.code(), unknown.to_string())),
    ];
    let body = encode_call_answer(&CallAnswer::Multi(answers)).unwrap();
    let results: Vec<Value> = python(MULTICALL, &[hex(&body)])
        .iter()
        .map(|line| serde_json::from_str(line).expect("Python prints JSON"))
        .collect();
    let fields = json!({"storage_node": "h:1", "hops": 0, "value": "v", "found": true});
    let fault = json!({"fault": -32_601, "sentence": unknown.to_string()});
    assert_eq!(results, [fields, json!(Method::LISTED.map(Method::name)), fault]);
}
