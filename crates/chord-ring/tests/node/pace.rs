//! The pause between rounds.

use chord_ring::*;

use super::support::*;
use super::*;

/// One round in which all is as it was; the pause until the next.
fn quiet_round(node: &mut Solo) -> std::time::Duration {
    quiet_round_after(node, 40)
}

fn quiet_round_after(node: &mut Solo, predecessor: u64) -> std::time::Duration {
    node.maintain();
    let pause = node.drain().into_iter().find_map(|output| match output {
        Output::Wake(Wake::Maintain, pause) => Some(pause),
        _ => None,
    });
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.drain();
    node.answer(Purpose::Ring, DONE);
    node.answer(Purpose::Rectify, pong(predecessor));
    node.answer(Purpose::Finger, Err(Refusal::NoRoute.into()));
    node.drain();
    pause.unwrap()
}

#[test]
fn the_pause_between_rounds_doubles_to_the_quiet_one_and_any_change_makes_it_short_again() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    for _ in 0..ROUNDS_FAST {
        assert_eq!(quiet_round(&mut node), ROUND_FAST);
    }
    assert_eq!(quiet_round(&mut node), ROUND_FAST * 2);
    assert_eq!(quiet_round(&mut node), ROUND_FAST * 4);
    for _ in 0..20 {
        assert_eq!(quiet_round(&mut node), ROUND_QUIET);
    }
    node.request(notify(5));
    node.drain();
    node.answer(Purpose::Rectify, state(5, &[10], Some(40)));
    node.expect_predecessor(Some(5));
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.expect_view();
    node.end();
    assert_eq!(quiet_round_after(&mut node, 5), ROUND_FAST);
}

#[test]
fn in_slow_motion_every_pause_is_as_many_times_as_long() {
    let config = || Config::new(ring_tag(8));
    assert_eq!(config().with_slowness(0), Err(SlownessError(0)));
    assert_eq!(config().with_slowness(SLOWNESS_MAX + 1), Err(SlownessError(SLOWNESS_MAX + 1)));
    let slow = config().with_slowness(10).unwrap();
    let mut node = Node::new(slow, peer(10), Incarnation(1));
    node.handle(Input::Command(Token(1), Command::Create));
    let pauses = |node: &mut Node| -> Vec<_> {
        let outputs = std::iter::from_fn(|| node.poll());
        outputs
            .filter_map(|output| if let Output::Wake(_, pause) = output { Some(pause) } else { None })
            .collect()
    };
    assert_eq!(pauses(&mut node), [ROUND_FAST * 10]);
    let mut last = ROUND_FAST;
    for _ in 0..20 {
        node.handle(Input::Wake(Wake::Maintain));
        last = pauses(&mut node).into_iter().next_back().unwrap();
    }
    assert_eq!(last, ROUND_QUIET * 10);
}
