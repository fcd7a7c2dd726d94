//! Context headers: round trips, bounds, and what is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_kv::Version;
use chord_ring::{NODE_NAME_BYTES_MAX, NodeName, Position, RingName, RingSize, RingTag};
use chord_wire::frame::Versions;
use chord_wire::{
    BadContext, Code, Context, Copies, HEADER_PREFIX, KnownPredecessor, PATH_BYTES_MAX, PATH_NAMES_MAX,
    REMAINING_MAX,
};
use proptest::prelude::*;

type Headers = BTreeMap<&'static str, Vec<u8>>;

fn write(context: &Context) -> Headers {
    let mut headers = Headers::new();
    context.write(&mut |name, value| {
        assert!(headers.insert(name, value.into()).is_none(), "{name} is written twice");
    });
    headers
}

fn read(headers: &Headers) -> Result<Context, BadContext> {
    Context::read(|name| headers.get(name).map(Vec::as_slice))
}

fn read_one(name: &'static str, value: impl AsRef<[u8]>) -> Result<Context, BadContext> {
    read(&Headers::from([(name, value.as_ref().to_vec())]))
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn full() -> Context {
    Context {
        ring: Some(RingTag {
            name: "blue".parse().expect("a ring name"),
            size: RingSize::new(160).expect("a size"),
        }),
        from: Some(name("h:1")),
        path: vec![name("h:2"), name("[::1]:3")],
        named: true,
        remaining: Some(Duration::from_millis(1500)),
        version: Some(Version::new(12, 3, Position::from(45))),
        repeated: true,
        expires_at_ms: Some(99),
        predecessor: Some(KnownPredecessor::Node(name("h:4"))),
        member: Some(true),
        keeping: Some(Copies { replicas: 3, write_quorum: Some(2) }),
        owner: Some(name("10.0.0.9:4567")),
        hops: Some(3),
        copies: Some(2),
        frames: Some(Versions { lowest: 1, highest: 12 }),
        code: Some(Code::NoRoute),
    }
}

#[test]
fn an_empty_context_writes_nothing_and_nothing_reads_as_empty() {
    assert_eq!(write(&Context::default()), Headers::new());
    assert_eq!(read(&Headers::new()), Ok(Context::default()));
}

#[test]
fn a_full_context_is_written_in_these_headers() {
    let expected = [
        ("chord-copies", "2"),
        ("chord-deadline-ms", "1500"),
        ("chord-error", "no-route"),
        ("chord-expires-ms", "99"),
        ("chord-frames", "1-12"),
        ("chord-from", "h:1"),
        ("chord-hops", "3"),
        ("chord-member", "1"),
        ("chord-named", "1"),
        ("chord-owner", "10.0.0.9:4567"),
        ("chord-path", "h:2,[::1]:3"),
        ("chord-predecessor", "h:4"),
        ("chord-repeated", "1"),
        ("chord-replicas", "3"),
        ("chord-ring-name", "blue"),
        ("chord-ring-size", "160"),
        ("chord-version", "12.3.45"),
        ("chord-write-quorum", "2"),
    ];
    let headers = write(&full());
    assert_eq!(headers, expected.map(|(name, value)| (name, value.as_bytes().to_vec())).into());
    assert!(headers.keys().all(|name| name.starts_with(HEADER_PREFIX)));
    assert_eq!(read(&headers), Ok(full()));
}

#[test]
fn a_node_can_say_that_it_has_no_predecessor() {
    let nobody = Context { predecessor: Some(KnownPredecessor::Nobody), ..Context::default() };
    assert_eq!(write(&nobody), Headers::from([("chord-predecessor", b"none".to_vec())]));
    assert_eq!(read(&write(&nobody)), Ok(nobody));
}

#[test]
fn headers_that_make_no_sense_are_refused_by_name() {
    let cases: [(&'static str, &[u8]); 23] = [
        ("chord-hops", b"-1"),
        ("chord-hops", b"4294967296"),
        ("chord-owner", b"nobody"),
        ("chord-from", b"h"),
        ("chord-from", b"h:1\xff"),
        ("chord-from", b""),
        ("chord-deadline-ms", b"-1"),
        ("chord-deadline-ms", b"+1"),
        ("chord-deadline-ms", b""),
        ("chord-deadline-ms", b"18446744073709551616"),
        ("chord-path", b""),
        ("chord-path", b"h:1,,h:2"),
        ("chord-named", b"yes"),
        ("chord-named", b"true"),
        ("chord-deadline-ms", b"1.5"),
        ("chord-version", b"1.2"),
        ("chord-expires-ms", b"soon"),
        ("chord-predecessor", b"None"),
        ("chord-member", b"2"),
        ("chord-replicas", b"256"),
        ("chord-write-quorum", b"most"),
        ("chord-ring-size", b"0"),
        ("chord-ring-name", b"a b"),
    ];
    for (header, value) in cases {
        let refused = read_one(header, value).unwrap_err();
        assert_eq!(refused.header, header);
        assert!(refused.to_string().starts_with(&format!("the header {header} must be ")), "{refused}");
    }
}

#[test]
fn a_rings_name_and_size_come_together() {
    assert_eq!(read_one("chord-ring-name", "a").unwrap_err().header, "chord-ring-size");
    assert_eq!(read_one("chord-ring-size", "8").unwrap_err().header, "chord-ring-name");
}

#[test]
fn an_unknown_error_word_is_one_of_a_newer_version_and_counts_as_absent() {
    assert_eq!(read_one("chord-error", "moon-phase"), Ok(Context::default()));
}

#[test]
fn no_deadline_is_further_away_than_the_longest() {
    let most = Some(REMAINING_MAX);
    assert_eq!(read_one("chord-deadline-ms", u64::MAX.to_string()).unwrap().remaining, most);
    let context = Context { remaining: Some(Duration::MAX), ..Context::default() };
    assert_eq!(read(&write(&context)).unwrap().remaining, most);
}

#[test]
fn a_path_may_have_as_many_names_as_the_limit_and_no_more() {
    let names = vec!["h:1"; PATH_NAMES_MAX];
    assert_eq!(read_one("chord-path", names.join(",")).unwrap().path.len(), PATH_NAMES_MAX);
    assert!(read_one("chord-path", names.join(",") + ",h:1").is_err());
}

#[test]
fn a_path_may_have_as_many_bytes_as_the_limit_and_no_more() {
    let longest = format!("{}:12345", "h".repeat(NODE_NAME_BYTES_MAX - 6));
    let mut path = vec![longest; PATH_BYTES_MAX / (NODE_NAME_BYTES_MAX + 1)].join(",");
    let rest = PATH_BYTES_MAX - path.len() - 1;
    path = format!("{path},{}:1", "h".repeat(rest - 2));
    assert_eq!(path.len(), PATH_BYTES_MAX);
    assert!(read_one("chord-path", &path).is_ok());
    assert!(read_one("chord-path", path + "1").is_err());
}

#[test]
fn a_path_that_is_too_long_loses_its_beginning_on_the_way() {
    let long = |idx: usize| name(&format!("{}{idx}:1", "h".repeat(250)));
    let path: Vec<_> = (0..PATH_NAMES_MAX).map(long).collect();
    let kept = read(&write(&Context { path: path.clone(), ..Context::default() })).unwrap().path;
    assert!(kept.len() > 60 && path.ends_with(&kept), "{} names", kept.len());
    let short: Vec<_> = (0..=PATH_NAMES_MAX).map(|idx| name(&format!("h:{}", idx + 1))).collect();
    let kept = read(&write(&Context { path: short.clone(), ..Context::default() })).unwrap().path;
    assert_eq!(kept, short[1..]);
}

fn any_name() -> impl Strategy<Value = NodeName> {
    ("[a-z0-9.-]{1,20}", 1u16..).prop_map(|(host, port)| name(&format!("{host}:{port}")))
}

fn any_ring() -> impl Strategy<Value = RingTag> {
    ("[a-zA-Z0-9._-]{1,63}", 1u64..=256).prop_map(|(name, bits)| RingTag {
        name: name.parse::<RingName>().expect("a ring name"),
        size: RingSize::new(bits).expect("a size"),
    })
}

fn any_version() -> impl Strategy<Value = Version> {
    (any::<u64>(), any::<u16>(), any::<[u8; 32]>()).prop_map(|(time_ms, counter, writer)| {
        Version::new(time_ms, counter, Position::from_be_bytes(writer))
    })
}

fn any_context() -> impl Strategy<Value = Context> {
    use prop::option::of;
    let predecessor =
        prop_oneof![Just(KnownPredecessor::Nobody), any_name().prop_map(KnownPredecessor::Node)];
    let remaining = (0..=3_600_000u64).prop_map(Duration::from_millis);
    let code = prop::sample::select(Code::ALL.to_vec());
    let keeping =
        (any::<u8>(), of(any::<u8>())).prop_map(|(replicas, write_quorum)| Copies { replicas, write_quorum });
    let about_sender = (of(any_ring()), of(any_name()), of(predecessor), of(any::<bool>()), of(keeping));
    let about_request =
        (prop::collection::vec(any_name(), 0..20), any::<bool>(), of(remaining), of(any_version()));
    let about_record = (of(any::<u64>()), of(any_name()), of(any::<u32>()), of(any::<u32>()), any::<bool>());
    let frames = (any::<u8>(), any::<u8>()).prop_map(|(lowest, highest)| Versions { lowest, highest });
    (about_sender, about_request, about_record, of(frames), of(code)).prop_map(
        |(
            (ring, from, predecessor, member, keeping),
            (path, named, remaining, version),
            (expires_at_ms, owner, hops, copies, repeated),
            frames,
            code,
        )| {
            Context {
                ring,
                from,
                path,
                named,
                remaining,
                version,
                repeated,
                expires_at_ms,
                owner,
                hops,
                keeping,
                predecessor,
                member,
                copies,
                frames,
                code,
            }
        },
    )
}

#[test]
fn versions_of_frames_that_make_no_sense_count_as_absent() {
    for text in ["", "1", "1-", "-1", "1-256", "+1-2", "1-2-3", "of tomorrow"] {
        assert_eq!(read_one("chord-frames", text).unwrap().frames, None, "{text}");
    }
}

proptest! {
    #[test]
    fn contexts_survive_their_headers(context in any_context()) {
        prop_assert_eq!(read(&write(&context)), Ok(context));
    }

    #[test]
    fn no_header_makes_the_reader_panic(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 15)
    ) {
        let names = write(&full());
        let headers: Headers = names.into_keys().zip(values).collect();
        let _ = read(&headers);
        for (header, value) in headers {
            let _ = read_one(header, value);
        }
    }
}
