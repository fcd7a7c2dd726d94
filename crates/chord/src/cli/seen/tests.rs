//! Rings made up for tests, and what follows from them.

use chord::Position;
use serde_json::json;

use chord::seen::{RING_REASONS_MAX, SeenAs, SeenBody};

use super::health::{Level, level, more, reasons, verdict};
use super::*;

/// When these rings are seen, and how long their nodes have been up.
pub(crate) const AT_MS: u64 = 1_800_000_000_000;
const UP_MS: u64 = 3_700_000;

pub(crate) fn size() -> RingSize {
    RingSize::new(160).unwrap()
}

/// What a node tells that is alone and fine.
pub(crate) fn report(name: &str) -> ReportBody {
    serde_json::from_value(json!({
        "ring": {"node": name, "position": "0", "ring_name": "chord", "ring_size": 160, "is_member": true,
            "predecessor": null, "successors": [], "fingers": [],
            "range": null, "is_ready": true, "not_ready_because": null},
        "version": "0.1.0", "started_at_ms": AT_MS - UP_MS, "records": 100, "copies_missing": 0,
        "storage": {"is_durable": false, "records": 300, "bytes": 5000, "trouble": null}
    }))
    .unwrap()
}

fn position(name: &str) -> Position {
    size().position_of(name.as_bytes())
}

/// So many names, in the order of the ring.
pub(crate) fn names(count: u16) -> Vec<String> {
    let mut names: Vec<String> = (1..=count).map(|idx| format!("127.0.0.1:{}", 5700 + idx)).collect();
    names.sort_by_key(|name| position(name));
    names
}

/// The ring of these, each of which believes what is so.
pub(crate) fn ideal(names: &[String]) -> Vec<SeenBody> {
    let node = |name: &String| json!({"node": name, "position": position(name).to_string()});
    let told = |idx: usize| {
        let mut said = serde_json::to_value(report(&names[idx])).unwrap();
        let count = names.len();
        let before = &names[(idx + count - 1) % count];
        let after = position(before);
        if count > 1 {
            said["ring"]["predecessor"] = node(before);
        }
        let successors = (1..count.min(5)).map(|step| node(&names[(idx + step) % count]));
        said["ring"]["successors"] = successors.collect();
        let distance = size().distance(after, position(&names[idx]));
        let share = if count > 1 { size().fraction(distance) } else { 1.0 };
        said["ring"]["range"] = json!({"after": after.to_string(), "up_to": position(&names[idx]).to_string(),
            "share": share, "is_complete": true});
        serde_json::from_value(said).unwrap()
    };
    let seen = |idx: usize| SeenBody {
        node: names[idx].clone(),
        position: position(&names[idx]).to_string(),
        answer: SeenAs::Answered,
        because: None,
        has_left: false,
        was_heard: false,
        report: Some(told(idx)),
    };
    (0..names.len()).map(seen).collect()
}

pub(crate) fn ring(nodes: Vec<SeenBody>) -> Ring {
    let mut ring = Ring::new(size());
    ring.take(RingEvent::Ring(picture(nodes)));
    ring
}

pub(crate) fn picture(nodes: Vec<SeenBody>) -> PictureRead {
    let seen_by = nodes.first().map_or_else(|| "127.0.0.1:1".to_owned(), |seen| seen.node.clone());
    let mut sight = Sight::new(size());
    for seen in &nodes {
        sight.take(seen.clone());
    }
    let health = Some(sight.health(0));
    let (gone, beat_ms) = (Vec::new(), None);
    PictureRead { seen_by, at_ms: AT_MS, nodes, gone, left_out: 0, has_asked_all: true, beat_ms, health }
}

/// One that does not answer any more, while the others have not noticed.
pub(crate) fn dead(nodes: &mut [SeenBody], idx: usize) {
    nodes[idx].answer = SeenAs::Unreachable;
    nodes[idx].report = None;
}

/// Every second node of a ring in one ring, and the others in another.
pub(crate) fn cut(names: &[String]) -> Vec<SeenBody> {
    let half = |odd: usize| names.iter().skip(odd).step_by(2).cloned().collect::<Vec<_>>();
    [ideal(&half(0)), ideal(&half(1))].concat()
}

fn levels(ring: &Ring) -> Vec<(Level, String)> {
    reasons(ring).into_iter().map(|reason| (reason.level, reason.what)).collect()
}

#[test]
fn a_ring_in_which_all_agree_is_whole() {
    for count in [2, 3, 8, 40] {
        let ring = ring(ideal(&names(count)));
        assert_eq!(levels(&ring), []);
        assert_eq!((ring.n_cycles(), ring.torn().len(), ring.claims().len()), (1, 0, 0));
        assert_eq!((ring.records(), ring.n_absent()), (100 * u64::from(count), 0));
        assert!(ring.order().iter().all(|place| ring.state(place) == State::Ready));
    }
    let alone = ring(ideal(&names(1)));
    assert_eq!(level(&alone), Level::Note);
    assert_eq!((alone.n_cycles(), alone.claims().len()), (1, 0));
}

#[test]
fn a_dead_node_leaves_torn_links_and_a_part_for_which_nobody_answers() {
    let names = names(8);
    let mut nodes = ideal(&names);
    dead(&mut nodes, 3);
    let ring = ring(nodes);
    let torn: Vec<_> = ring.torn().iter().map(|belief| (belief.of.to_owned(), belief.side)).collect();
    assert_eq!(torn, [(names[2].clone(), Side::Successor), (names[4].clone(), Side::Predecessor)]);
    let claims = ring.claims();
    assert_eq!(claims.iter().map(|arc| arc.owners).collect::<Vec<_>>(), [0]);
    assert!((claims[0].to - ring.node(&names[3]).unwrap().turn).abs() < 1e-9);
    assert_eq!(level(&ring), Level::Heals);
    assert_eq!(ring.n_cycles(), 0, "who follows successors comes to a node that does not answer");
    let told = ring.sight.findings().told();
    assert!(told.rings.is_empty() && told.torn.len() == 2, "and nobody says that there are several rings");
}

/// One of another program, which answers and cannot tell of itself.
fn of_another_program(nodes: &mut [SeenBody], idx: usize) {
    nodes[idx].answer = SeenAs::OtherProgram;
    nodes[idx].report = None;
}

#[test]
fn what_a_node_of_another_program_believes_is_unknown_and_not_torn() {
    let names = names(8);
    // Alone among the others, two in a row, and all but one.
    for others in [&[3][..], &[0, 7], &[2, 3, 4], &[1, 2, 3, 4, 5, 6, 7]] {
        let mut nodes = ideal(&names);
        for idx in others {
            of_another_program(&mut nodes, *idx);
        }
        let ring = ring(nodes);
        assert_eq!((ring.torn().len(), ring.claims().len(), ring.n_absent()), (0, 0, 0), "{others:?}");
        // It goes on behind one that cannot tell, as far as somebody says who comes there.
        assert_eq!(ring.n_cycles(), usize::from(others.len() < 7), "{others:?}");
        let told = reasons(&ring);
        assert!(told.iter().all(|reason| reason.code == "other-program"), "{others:?}: {told:?}");
        assert_eq!((level(&ring), verdict(&ring)), (Level::Note, "The ring is whole".to_owned()));
        let unknown = ring.arcs().iter().filter(|arc| arc.owners == 0 && !arc.is_known).count();
        assert!(unknown > 0, "{others:?}: who answers there is not known");
        let ours =
            ring.order().into_iter().filter(|place| !others.iter().any(|idx| names[*idx] == place.name()));
        assert!(ours.into_iter().all(|place| ring.state(place) == State::Ready), "{others:?}");
    }
}

#[test]
fn a_ring_that_is_torn_is_told_as_torn_whoever_is_in_it() {
    let names = names(8);
    let mut nodes = ideal(&names);
    of_another_program(&mut nodes, 3);
    dead(&mut nodes, 6);
    let with_a_dead_one = ring(nodes);
    let torn: Vec<_> = with_a_dead_one.torn().iter().map(|belief| belief.of.to_owned()).collect();
    assert_eq!(torn, [names[5].clone(), names[7].clone()], "and not those next to the one that cannot tell");
    assert_eq!(with_a_dead_one.claims().len(), 1);
    assert_eq!((level(&with_a_dead_one), with_a_dead_one.n_absent()), (Level::Heals, 1));

    // One takes the other program's for its successor, over a member that stands between.
    let mut nodes = ideal(&names);
    of_another_program(&mut nodes, 3);
    let successors = &mut nodes[1].report.as_mut().unwrap().ring.successors;
    successors.remove(0);
    let over_one = ring(nodes);
    let torn: Vec<_> = over_one.torn().iter().map(|belief| (belief.of.to_owned(), belief.side)).collect();
    assert_eq!(torn, [(names[1].clone(), Side::Successor), (names[2].clone(), Side::Predecessor)]);

    // Two rings, each with one that cannot tell.
    let mut nodes = cut(&names);
    of_another_program(&mut nodes, 1);
    of_another_program(&mut nodes, 6);
    assert_eq!(ring(nodes).n_cycles(), 2);
}

#[test]
fn a_member_alone_among_nodes_of_another_program_is_not_alone() {
    let mut nodes = ideal(&names(2));
    of_another_program(&mut nodes, 1);
    let told = reasons(&ring(nodes));
    assert_eq!(told.iter().map(|reason| reason.code).collect::<Vec<_>>(), ["other-program"]);
}

#[test]
fn one_that_answers_rubbish_or_is_of_another_ring_is_not_told_as_dead() {
    let names = names(8);
    let told = |answer: SeenAs, is_next: bool| {
        let mut nodes = ideal(&names);
        let stranger = "127.0.0.1:1".to_owned();
        let at = position(&stranger).to_string();
        let node = if is_next { nodes[3].node.clone() } else { stranger.clone() };
        if is_next {
            nodes[3] = SeenBody::new(node.clone(), nodes[3].position.clone(), Err(answer));
        } else {
            nodes.push(SeenBody::new(stranger, at, Err(answer)));
        }
        let about =
            reasons(&ring(nodes)).into_iter().find(|reason| reason.node.as_deref() == Some(node.as_str()));
        about.map(|reason| (reason.code, reason.level, reason.what, reason.next)).expect("it is told")
    };
    let (code, level, what, next) = told(SeenAs::Garbled, true);
    assert_eq!((code, level), ("garbled", Level::Act));
    assert!(
        what.ends_with("its answer makes no sense; whether it serves the keys that are its is not known.")
            && next.starts_with("See what serves"),
        "{what} {next}"
    );
    let (code, level, what, next) = told(SeenAs::OtherRing, true);
    assert_eq!((code, level), ("other-ring", Level::Heals));
    assert!(what.ends_with("it is of another ring.") && next.contains("this ring's name"), "{what} {next}");
    for answer in [SeenAs::Garbled, SeenAs::OtherRing] {
        assert_eq!(told(answer, false).1, Level::Note, "whom nobody takes for a neighbour harms nobody");
    }
    assert_eq!(told(SeenAs::Silent, true).0, "not-answering");
}

#[test]
fn names_that_one_node_alone_says_are_not_told_as_nodes_that_died() {
    let names = names(8);
    let mut nodes = ideal(&names);
    let made_up: Vec<String> = (0..150).map(|idx| format!("127.9.9.9:{}", 1000 + idx)).collect();
    let links = made_up.iter().map(|node| json!({"node": node, "round_trip_us": null, "is_suspect": true}));
    nodes[2].report.as_mut().unwrap().links = serde_json::from_value(links.collect()).unwrap();
    let silent = |name: &String| SeenBody::new(name.clone(), position(name).to_string(), Err(SeenAs::Silent));
    nodes.extend(made_up.iter().map(silent));
    let told = ring(nodes.clone());
    let found = reasons(&told);
    let told_of = found.iter().map(|reason| (reason.code, reason.level, reason.node.as_deref()));
    assert_eq!(told_of.collect::<Vec<_>>(), [("unheard", Level::Note, Some(names[2].as_str()))]);
    assert!(found[0].what.contains(" alone names 150 nodes that nobody has heard: 127.9.9.9:1000, "));
    assert_eq!((level(&told), verdict(&told), told.n_absent()), (Level::Note, "The ring is whole".into(), 0));

    // One that two know is no invention of either, and one that a node takes for its neighbour is missed.
    let link = json!({"node": made_up[7], "round_trip_us": 900, "is_suspect": true});
    nodes[5].report.as_mut().unwrap().links = vec![serde_json::from_value(link).unwrap()];
    let known = ring(nodes.clone());
    let codes = |ring: &Ring| reasons(ring).iter().map(|reason| reason.code).collect::<Vec<_>>();
    assert_eq!((codes(&known), known.n_absent()), (vec!["not-answering", "unheard"], 1));
    dead(&mut nodes, 4);
    assert!(codes(&ring(nodes.clone())).iter().filter(|code| **code == "not-answering").count() == 2);

    // One that has told of itself before was there, whoever names it now.
    let mut told = ring(ideal(&names));
    let came = SeenBody { node: made_up[0].clone(), ..ideal(&names).remove(0) };
    told.take(RingEvent::Changes(picture(vec![came])));
    told.take(RingEvent::Changes(picture(vec![silent(&made_up[0]), nodes[2].clone()])));
    assert_eq!(told.n_absent(), 1);
    let again = [silent(&made_up[0]).that_was_heard(), silent(&made_up[1])].into_iter().chain(nodes.clone());
    let looked_again = ring(again.collect());
    assert_eq!(
        looked_again.n_absent(),
        ring(nodes).n_absent() + 1,
        "and also if that was when somebody looked before"
    );
}

#[test]
fn one_that_answers_rubbish_is_no_outage() {
    let names = names(8);
    let mut nodes = ideal(&names);
    nodes[3] = SeenBody::new(names[3].clone(), nodes[3].position.clone(), Err(SeenAs::Garbled));
    let ring = ring(nodes);
    let codes: Vec<_> = reasons(&ring).iter().map(|reason| (reason.code, reason.level)).collect();
    assert_eq!(codes, [("garbled", Level::Act)]);
    assert_eq!((ring.claims().len(), ring.torn().len(), ring.n_cycles(), ring.n_absent()), (0, 0, 1, 1));
    assert!(ring.arcs().iter().any(|arc| arc.owners == 0 && !arc.is_known), "who answers there is not known");
}

#[test]
fn one_that_has_left_in_good_order_is_not_told_as_dead() {
    let names = names(8);
    let mut nodes = ideal(&names[..7]);
    let gone = SeenBody::new(names[7].clone(), position(&names[7]).to_string(), Err(SeenAs::Unreachable));
    nodes.push(gone.clone());
    let dead = ring(nodes.clone());
    assert_eq!((level(&dead), dead.n_absent()), (Level::Gone, 1));
    nodes[7] = gone.that_left();
    let left = ring(nodes);
    assert_eq!((level(&left), left.n_absent(), reasons(&left)[0].code), (Level::Note, 0, "left"));
    assert!(reasons(&left)[0].what.ends_with("it has left the ring in good order."));
    assert_eq!(left.state(left.node(&names[7]).unwrap()), State::Left);
}

#[test]
fn that_one_has_left_is_believed_of_those_who_stood_next_to_it() {
    let names = names(8);
    let who_say_so = |idxs: &[usize]| {
        let mut sight = Sight::new(size());
        for (idx, mut seen) in ideal(&names).into_iter().enumerate().filter(|(idx, _)| *idx != 3) {
            if idxs.contains(&idx) {
                seen.report.as_mut().unwrap().departed = vec![names[3].clone()];
            }
            sight.take(seen);
        }
        sight.has_left(&names[3], position(&names[3]))
    };
    assert!(who_say_so(&[2]) && who_say_so(&[4]));
    assert!(!who_say_so(&[]) && !who_say_so(&[0, 1, 5, 6, 7]));
}

#[test]
fn whoever_draws_a_ring_is_told_all_that_is_the_matter_and_where() {
    let names = names(8);
    let found = |nodes: Vec<SeenBody>| serde_json::to_value(ring(nodes).sight.findings().told()).unwrap();
    let nothing = json!({"states": {}, "torn": [], "claims": [], "rings": []});
    assert_eq!(found(ideal(&names)), nothing);

    let mut nodes = ideal(&names);
    nodes[1].report.as_mut().unwrap().ring.successors.remove(0);
    nodes[5].report = None;
    nodes[5].answer = SeenAs::OtherProgram;
    let told = found(nodes);
    let states = json!({&names[1]: "disagrees", &names[2]: "disagrees", &names[5]: "other program"});
    assert_eq!(told["states"], states);
    let torn = json!([{"of": &names[1], "side": "successor"}, {"of": &names[2], "side": "predecessor"}]);
    assert_eq!(told["torn"], torn);
    // All but the one that is passed over; it leads there, and nobody leads to it.
    let passed: Vec<_> = [0, 1, 3, 4, 5, 6, 7].map(|idx| names[idx].clone()).to_vec();
    let told: Vec<String> = serde_json::from_value(told["rings"][0].clone()).unwrap();
    assert_eq!(told, passed);

    let told = found(cut(&names));
    assert_eq!((&told["states"], &told["torn"]), (&json!({}), &json!([])));
    let rings: Vec<Vec<String>> = serde_json::from_value(told["rings"].clone()).unwrap();
    assert_eq!(rings.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
    assert!(told["claims"].as_array().unwrap().iter().all(|arc| arc["owners"] == 2));
}

#[test]
fn a_ring_that_was_cut_is_two_and_says_so_first() {
    let ring = ring(cut(&names(8)));
    assert_eq!((ring.n_cycles(), ring.torn().len()), (2, 0));
    assert!(ring.claims().iter().all(|arc| arc.owners == 2) && !ring.claims().is_empty());
    let levels = levels(&ring);
    assert_eq!(levels[0], (Level::Act, "The nodes form 2 rings instead of one.".to_owned()));
}

#[test]
fn what_each_node_says_of_itself_is_told_with_what_to_do() {
    let names = names(3);
    let mut nodes = ideal(&names);
    let edit = |seen: &mut SeenBody, change: fn(&mut ReportBody)| change(seen.report.as_mut().unwrap());
    edit(&mut nodes[0], |report| report.copies_missing = 2);
    edit(&mut nodes[1], |report| {
        report.ring.is_ready = false;
        report.ring.not_ready_because = Some("\u{1b}[31mcopies\nare made".to_owned());
        report.version = "0.2.0".to_owned();
    });
    edit(&mut nodes[2], |report| {
        report.violations = 1;
        report.ring.range.as_mut().unwrap().is_complete = false;
    });
    let ring = ring(nodes);
    let levels = levels(&ring);
    let whats: Vec<_> = levels.iter().map(|(_, what)| what.as_str()).collect();
    assert!(whats[0].ends_with("found a rule of the ring broken 1 time."), "{whats:?}");
    assert_eq!(whats[1], "Up to 2 copies are missing.");
    assert!(whats[2].ends_with(r"is not ready: \u{1b}[31mcopies\nare made."), "{whats:?}");
    assert_eq!(whats[3], "The nodes run 2 versions: 0.1.0, 0.2.0.");
    assert_eq!(ring.state(ring.node(&names[2]).unwrap()), State::Incomplete);
    assert_eq!(ring.state(ring.node(&names[1]).unwrap()), State::NotReady);
}

#[test]
fn one_node_that_makes_numbers_up_does_not_fill_the_sums_and_is_named() {
    let names = names(5);
    let mut nodes = ideal(&names);
    nodes[1].report.as_mut().unwrap().copies_missing = u64::MAX;
    nodes[1].report.as_mut().unwrap().records = u64::MAX;
    let before = ring(nodes.clone());
    nodes[3].report.as_mut().unwrap().copies_missing = 7;
    nodes[3].report.as_mut().unwrap().records = 107;
    let after = ring(nodes);
    assert_eq!(
        (after.copies_missing(), after.records()),
        (before.copies_missing() + 7, before.records() + 7)
    );
    let told = reasons(&after);
    let garbled = told.iter().find(|reason| reason.code == "garbled").expect("it is garbled");
    assert_eq!((garbled.level, garbled.node.as_deref()), (Level::Act, Some(names[1].as_str())));
    assert!(garbled.what.contains("18,446,744,073,709,551,615 records"), "{}", garbled.what);
}

#[test]
fn a_node_of_an_older_version_does_not_say_how_the_ring_is_and_breaks_nothing() {
    let mut older = picture(ideal(&names(3)));
    older.health = None;
    let mut ring = Ring::new(size());
    ring.take(RingEvent::Ring(older));
    let reasons = reasons(&ring);
    assert_eq!((level(&ring), reasons.len(), reasons[0].code), (Level::Note, 1, "untold"));
    assert!(reasons[0].what.ends_with("does not say how the ring is."), "{reasons:?}");
    assert_eq!(verdict(&ring), "The ring");
}

#[test]
fn many_reasons_are_counted_and_the_gravest_are_told() {
    let names = names(40);
    let mut nodes = ideal(&names);
    for idx in 0..30 {
        dead(&mut nodes, idx);
    }
    nodes[35].report.as_mut().unwrap().storage.trouble = Some("the disk is full".to_owned());
    let ring = ring(nodes);
    let found = reasons(&ring);
    assert_eq!((found.len(), found[0].level, found[0].code), (RING_REASONS_MAX, Level::Act, "not-writing"));
    assert!(more(&ring) >= 16, "{}", more(&ring));
}

#[test]
fn changes_are_taken_and_made_up_nodes_fill_no_more_than_a_picture() {
    let names = names(3);
    let mut ring = ring(ideal(&names));
    assert_eq!([ring.label(&names[0]), ring.label("h:5701")], [&names[0][10..], "h:5701"]);
    let mut changes = picture(Vec::new());
    changes.gone = vec![names[0].clone()];
    ring.take(RingEvent::Changes(changes));
    assert_eq!(ring.order().len(), 2);
    for round in 0..3 {
        let made_up = |idx: usize| SeenBody {
            node: format!("h{round}-{idx}:1"),
            position: idx.to_string(),
            answer: SeenAs::Silent,
            because: None,
            has_left: false,
            was_heard: false,
            report: None,
        };
        ring.take(RingEvent::Changes(picture((0..PICTURE_NODES_MAX).map(made_up).collect())));
    }
    assert_eq!(ring.order().len(), PICTURE_NODES_MAX);
    assert_eq!(ring.label(&names[1]), names[1], "with other hosts in it a name is told whole");
}

/// Every field of what is printed as JSON stands in its documentation.
#[track_caller]
pub(crate) fn is_documented(printed: &serde_json::Value) {
    const TEXT: &str = include_str!("../../../../../docs/terminal.md");
    match printed {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                assert!(TEXT.contains(&format!("`{name}`")), "docs/terminal.md has no `{name}`");
                is_documented(value);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(is_documented),
        _ => {}
    }
}
