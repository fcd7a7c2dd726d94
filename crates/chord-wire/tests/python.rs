//! What the seed's command line prints, verbatim (wire.md, section 4).

use chord_ring::{NodeName, Position};
use chord_wire::seed::{Answer, Leaving, Request, Target};
use chord_wire::{Command, display_answer, display_request, python_repr};

fn name(port: u16) -> NodeName {
    format!("127.0.0.1:{port}").parse().expect("a name")
}

#[test]
fn each_request_says_what_it_is_about_to_do() {
    let key = || "foo".to_owned();
    let put = Request::Put { key: key(), value: "bar".to_owned(), no_redirect: false };
    let zero = Request::FindSuccessor { target: Target::Key("0".to_owned()) };
    let position = Request::FindSuccessor { target: Target::Position(Position::from(7)) };
    let leave = Leaving { node: name(4569), predecessor: None, successor_list: Vec::new() };
    let cases = [
        (4567, Request::Create, "Creating node ring at [chord.node(127.0.0.1:4567)]"),
        (
            4569,
            Request::Join { remote: name(4567) },
            "Joining [chord.node(127.0.0.1:4569)] to node [chord.node(127.0.0.1:4567)]",
        ),
        (4568, zero, "Finding successor for [0] starting at [chord.node(127.0.0.1:4568)]"),
        (4568, position, "Finding successor for [7] starting at [chord.node(127.0.0.1:4568)]"),
        (4568, put, "Putting key [foo] = value [bar]"),
        (4568, Request::Get { key: key() }, "Getting key [foo]"),
        (
            4568,
            Request::Get { key: "é'\\ \u{7f}\u{1b}[1m\n".to_owned() },
            "Getting key [é'\\ \\x7f\\x1b[1m\\n]",
        ),
        (4568, Request::Shutdown, "Shutting node [chord.node(127.0.0.1:4568)] down gracefully"),
        (4568, Request::Node, "Getting node info from [chord.node(127.0.0.1:4568)]"),
        (
            4568,
            Request::Notify { remote: Some(name(4569)) },
            "Notifying [chord.node(127.0.0.1:4568)] of node [chord.node(127.0.0.1:4569)]",
        ),
        (4568, Request::Notify { remote: None }, "Notifying [chord.node(127.0.0.1:4568)] of node [None]"),
        (4568, Request::GetPredecessor, "Getting predecessor info from [chord.node(127.0.0.1:4568)]"),
        (4568, Request::GetSuccessorList, "Getting successor list from [chord.node(127.0.0.1:4568)]"),
        (
            4568,
            Request::Leave(leave),
            "Telling [chord.node(127.0.0.1:4568)] that node [chord.node(127.0.0.1:4569)] leaves",
        ),
    ];
    for (port, request, line) in cases {
        assert_eq!(display_request(&name(port), &request), line);
    }
}

#[test]
fn each_answer_is_shown_as_python_shows_the_seeds_object() {
    let get = |value: Option<&str>| Answer::Get {
        storage_node: name(4567),
        hops: 2,
        value: value.map(str::to_owned),
    };
    let cases = [
        (Command::Create, Answer::Done, "CreateResponse()"),
        (Command::Join, Answer::Done, "JoinResponse()"),
        (
            Command::FindSuccessor,
            Answer::FindSuccessor { node: name(4568), hops: 3 },
            "FindSuccessorResponse(node=chord.node(127.0.0.1:4568), hops=3)",
        ),
        (
            Command::Put,
            Answer::Put { storage_node: name(4567), hops: 2 },
            "PutKeyResponse(storage_node=chord.node(127.0.0.1:4567), hops=2)",
        ),
        (
            Command::Get,
            get(Some("bar")),
            "GetKeyResponse(storage_node=chord.node(127.0.0.1:4567), hops=2, value='bar', found=True)",
        ),
        (
            Command::Get,
            get(Some("it's")),
            "GetKeyResponse(storage_node=chord.node(127.0.0.1:4567), hops=2, value=\"it's\", found=True)",
        ),
        (
            Command::Get,
            get(None),
            "GetKeyResponse(storage_node=chord.node(127.0.0.1:4567), hops=2, value=None, found=False)",
        ),
        (Command::Shutdown, Answer::Done, "ShutdownResponse()"),
        (
            Command::Node,
            Answer::Node { node: name(4567), is_alive: true },
            "NodeResponse(node=chord.node(127.0.0.1:4567), is_alive=True)",
        ),
        (Command::Notify, Answer::Done, "NotifyResponse()"),
        (
            Command::GetPredecessor,
            Answer::Predecessor(Some(name(4567))),
            "GetPredecessorResponse(node=chord.node(127.0.0.1:4567))",
        ),
        (Command::GetPredecessor, Answer::Predecessor(None), "GetPredecessorResponse(node=None)"),
        (
            Command::GetSuccessorList,
            Answer::SuccessorList(vec![name(1), name(2)]),
            "GetSuccessorListResponse(successor_list=[chord.node(127.0.0.1:1), chord.node(127.0.0.1:2)])",
        ),
        (Command::Leave, Answer::Done, "LeaveResponse()"),
    ];
    for (command, answer, line) in cases {
        assert_eq!(display_answer(command, &answer), line);
    }
}

/// Each line was printed by Python 3.11.
#[test]
fn a_text_is_shown_as_pythons_repr_shows_it() {
    let cases = [
        ("", "''"),
        ("bar", "'bar'"),
        ("it's", "\"it's\""),
        ("say \"hi\"", "'say \"hi\"'"),
        ("it's \"hi\"", "'it\\'s \"hi\"'"),
        ("a\\b", "'a\\\\b'"),
        ("\n\r\t", "'\\n\\r\\t'"),
        ("\0\x1b\x7f", "'\\x00\\x1b\\x7f'"),
        ("\u{80}\u{a0}\u{ad}", "'\\x80\\xa0\\xad'"),
        ("für 日本 😀", "'für 日本 😀'"),
        ("e\u{301}", "'e\u{301}'"),
        ("\u{301}", "'\u{301}'"),
        ("\u{2028}\u{202e}\u{3000}\u{feff}", "'\\u2028\\u202e\\u3000\\ufeff'"),
        ("\u{e000}\u{10ffff}\u{e0001}", "'\\ue000\\U0010ffff\\U000e0001'"),
    ];
    for (text, shown) in cases {
        assert_eq!(python_repr(text), shown);
    }
}
