use chord_ring::Request as RingRequest;
use chord_wire::Code;
use chord_wire::frame::{
    Asked, CONTENT_BYTES_MAX, Declined, HELLO_BYTES_MAX, Kind, Outbox, Request, Versions,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::*;
use crate::links::Sending;
use crate::links::peer::{DEADLINE, Peer, answer, sending, terms};

#[tokio::test]
async fn requests_are_answered_by_their_numbers_in_any_order() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let peers_part = async {
        let mut served = peer.welcome().await;
        for id in 1..=3 {
            assert_eq!(served.hear().await, Some((Kind::ForgetPredecessor.number(), id)));
        }
        for id in [2, 3, 1] {
            served.refuse(id, &id.to_string()).await;
        }
        served
    };
    let sendings = [sending(), sending(), sending()];
    let [first, second, third] = sendings.each_ref().map(|sending| peer.ask(&lane, sending));
    let (_served, first, second, third) = tokio::join!(peers_part, first, second, third);
    let mut answers = [first, second, third].map(Result::unwrap);
    answers.sort_by_key(|answer| format!("{answer:?}"));
    assert_eq!(answers, ["1", "2", "3"].map(answer));
    assert!(sendings.iter().all(|sending| !sending.is_in_doubt()));
}

#[tokio::test]
async fn what_is_asked_for_clients_is_heard_where_they_are_served_and_nothing_else() {
    let (ends, ended) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tell.send(runtime.handle().clone()).unwrap();
        let _ = runtime.block_on(ended);
    });
    let (peer, serving) = (Peer::new().await, told.await.unwrap());
    let terms = Terms { serving: vec![serving], ..terms() };
    let ask = async |lane: &Lane| {
        let asked = Asked { request: Request::Ring(RingRequest::ForgetPredecessor), remaining: None };
        tokio::time::timeout(DEADLINE, lane.ask(&peer.name, &terms, &sending(), &asked)).await.unwrap()
    };
    let refuse = async || {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.refuse(1, "no").await;
        served
    };
    let (of_clients, other) = (Lane::new().of_clients(), Lane::new());
    let (_served, heard) = tokio::join!(refuse(), ask(&of_clients));
    assert_eq!(*heard.unwrap().answer, answer("no"));
    drop(ends);
    thread.join().unwrap();
    let (_served, heard) = tokio::join!(refuse(), ask(&other));
    assert_eq!(*heard.unwrap().answer, answer("no"));
    let anew = ask(&Lane::new().of_clients()).await;
    assert!(matches!(anew, Err(Unanswered::NoAnswer(NoAnswer::NoConnection(_)))), "nobody serves any more");
}

/// A thread with a runtime of its own, until the sender is dropped.
fn thread() -> (Handle, oneshot::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (handle, (ends, ended)) = (runtime.handle().clone(), oneshot::channel::<()>());
    std::thread::spawn(move || runtime.block_on(ended));
    (handle, ends)
}

#[tokio::test]
async fn each_thread_that_serves_asks_on_a_connection_of_its_own_and_what_breaks_all_of_them_is_one_break() {
    let threads: Vec<_> = (0..2).map(|_| thread()).collect();
    let (peer, lane) = (Peer::new().await, Arc::new(Lane::new().of_clients()));
    let terms =
        Arc::new(Terms { serving: threads.iter().map(|(handle, _)| handle.clone()).collect(), ..terms() });
    let ask = |thread: usize| {
        let (lane, terms, name) = (lane.clone(), terms.clone(), peer.name.clone());
        let asked = Asked { request: Request::Ring(RingRequest::ForgetPredecessor), remaining: None };
        let asking =
            async move { lane.ask(&name, &terms, &sending().once(), &asked).await.map(|heard| heard.answer) };
        tokio::time::timeout(DEADLINE, threads[thread].0.spawn(asking))
    };
    let mut served = Vec::new();
    for thread in 0..2 {
        let asking = ask(thread);
        let mut opened = peer.welcome().await;
        opened.hear().await;
        opened.refuse(1, "no").await;
        assert_eq!(*asking.await.unwrap().unwrap().unwrap(), answer("no"));
        served.push(opened);
    }
    // Each goes on with its own, and nobody opens another.
    let asking = [ask(1), ask(0)];
    for opened in &mut served {
        assert_eq!(opened.hear().await, Some((Kind::ForgetPredecessor.number(), 2)));
    }
    drop(served);
    for asked in asking {
        let unanswered = asked.await.unwrap().unwrap().err().unwrap();
        assert!(matches!(unanswered, Unanswered::NoAnswer(NoAnswer::Closed)), "{unanswered}");
    }
    assert_eq!(lane.take_breaks(), 1);
}

#[tokio::test]
async fn a_request_is_in_doubt_from_its_leaving_until_an_answer() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let peers_part = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.refuse(1, "no").await;
        served.hear().await;
        drop(served);
    };
    let asks = async {
        let first = sending().once();
        peer.ask(&lane, &first).await.unwrap();
        assert!(!first.is_in_doubt());
        let second = sending().once();
        let unanswered = peer.ask(&lane, &second).await.unwrap_err();
        assert!(matches!(unanswered, Unanswered::NoAnswer(NoAnswer::Closed)), "{unanswered}");
        assert!(second.is_in_doubt(), "it was read");
    };
    tokio::join!(peers_part, asks);
    drop(peer.listener);
    let third = sending().once();
    let asked = Asked { request: Request::Ring(RingRequest::Ping), remaining: None };
    let unanswered = lane.ask(&peer.name, &terms(), &third, &asked).await.err().unwrap();
    assert!(matches!(unanswered, Unanswered::NoAnswer(NoAnswer::Refused)), "{unanswered}");
    assert!(!third.is_in_doubt());
}

#[tokio::test]
async fn what_a_farewell_leaves_out_goes_out_again_and_is_not_in_doubt() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let peers_part = async {
        let mut first = peer.welcome().await;
        first.hear().await;
        first.hear().await;
        first.say(false, Kind::Farewell, 1, |_| {}).await;
        first.refuse(1, "old").await;
        let mut second = peer.welcome().await;
        assert_eq!(second.hear().await, Some((Kind::ForgetPredecessor.number(), 1)));
        second.refuse(1, "new").await;
        assert_eq!(first.hear().await, None, "nothing more is asked there, and it is closed");
        second
    };
    let sendings = [sending().once(), sending().once()];
    let [first, second] = sendings.each_ref().map(|sending| peer.ask(&lane, sending));
    let (_second, first, second) = tokio::join!(peers_part, first, second);
    assert_eq!([first.unwrap(), second.unwrap()], ["old", "new"].map(answer));
    assert!(sendings.iter().all(|sending| !sending.is_in_doubt()));
}

#[tokio::test]
async fn a_request_that_is_given_up_counts_until_its_late_answer_which_is_ignored() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let given_up = sending();
    let mut served = {
        let heard = async {
            let mut served = peer.welcome().await;
            served.hear().await;
            served
        };
        tokio::select! {
            _ = peer.ask(&lane, &given_up) => panic!("nobody has answered"),
            served = heard => served,
        }
    };
    assert!(given_up.is_in_doubt());
    assert_eq!(lane.requests.available_permits(), REQUESTS_MAX - 1, "the peer may be at work on it");
    let sending = sending();
    let peers_part = async {
        assert_eq!(served.hear().await.map(|(_, id)| id), Some(2));
        served.refuse(1, "late").await;
        served.refuse(2, "in time").await;
    };
    let ((), asked) = tokio::join!(peers_part, peer.ask(&lane, &sending));
    assert_eq!(asked.unwrap(), answer("in time"));
    assert_eq!(lane.requests.available_permits(), REQUESTS_MAX);
}

#[tokio::test]
async fn requests_that_were_given_up_and_are_never_answered_do_not_take_all_places_for_ever() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let sendings: Vec<Sending> = (0..REQUESTS_MAX).map(|_| sending()).collect();
    let heard = async {
        let mut served = peer.welcome().await;
        for _ in 0..REQUESTS_MAX {
            served.hear().await;
        }
        served
    };
    let all = futures_util::future::join_all(sendings.iter().map(|sending| peer.ask(&lane, sending)));
    let mut mute = tokio::select! {
        _ = all => panic!("nobody has answered"),
        mute = heard => mute,
    };
    assert_eq!(lane.requests.available_permits(), 0);
    // What comes shows that the connection is well.
    mute.refuse(1, "one of them").await;
    let first = sending();
    let asked = async {
        loop {
            let asked = tokio::time::timeout(2 * DEAF_AFTER, peer.ask(&lane, &first)).await;
            if let Ok(asked) = asked {
                return asked;
            }
        }
    };
    let again = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.refuse(1, "new").await;
        served
    };
    let (_served, asked) = tokio::join!(again, tokio::time::timeout(DEADLINE, asked));
    assert_eq!(asked.expect("in time").unwrap(), answer("new"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_for_long_is_left_by_those_that_follow() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let deaf = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served
    };
    let asks = async {
        let first = sending();
        let asked = tokio::time::timeout(Duration::from_millis(400), peer.ask(&lane, &first)).await;
        assert!(asked.is_err() && first.is_in_doubt());
    };
    let (mut deaf, ()) = tokio::join!(deaf, asks);
    let again = async {
        let mut served = peer.welcome().await;
        assert_eq!(served.hear().await.map(|(_, id)| id), Some(1));
        served.refuse(1, "new").await;
        assert_eq!(deaf.hear().await, None, "it is closed, as nobody waits on it");
        served
    };
    let second = sending();
    let (_served, asked) = tokio::join!(again, peer.ask(&lane, &second));
    assert_eq!(asked.unwrap(), answer("new"));
}

#[tokio::test]
async fn a_connection_on_which_parts_of_an_answer_come_is_not_deaf() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let long = answer(&"x".repeat(CONTENT_BYTES_MAX));
    let mut outbox = Outbox::default();
    outbox.put(Kind::Refused, 1, |to| {
        long.write(to);
        to.resize(2 * CONTENT_BYTES_MAX, 0);
    });
    let _ = outbox.cut();
    let (announced, first) = (outbox.unsent().to_vec(), sending());
    let peers_part = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.stream.write_all(&announced).await.unwrap();
        served
    };
    let asks = async {
        let asked = tokio::time::timeout(2 * DEAF_AFTER, peer.ask(&lane, &first)).await;
        assert!(asked.is_err(), "it is not whole");
    };
    let (mut served, ()) = tokio::join!(peers_part, asks);
    let second = sending();
    let goes_on = async {
        assert_eq!(served.hear().await.map(|(_, id)| id), Some(2), "on the same connection");
        served.refuse(2, "in time").await;
    };
    let ((), asked) = tokio::join!(goes_on, peer.ask(&lane, &second));
    assert_eq!(asked.unwrap(), answer("in time"));
}

#[tokio::test]
async fn a_connection_that_breaks_has_broken_once_however_many_wait_on_it() {
    const N_WAITING: usize = 50;
    let (peer, lane) = (Peer::new().await, Lane::new());
    let sendings: Vec<Sending> = (0..N_WAITING).map(|_| sending().once()).collect();
    let breaks = async {
        let mut served = peer.welcome().await;
        for _ in 0..N_WAITING {
            served.hear().await;
        }
    };
    let all = futures_util::future::join_all(sendings.iter().map(|sending| peer.ask(&lane, sending)));
    let ((), all) = tokio::join!(breaks, all);
    for asked in all {
        assert!(matches!(asked, Err(Unanswered::NoAnswer(NoAnswer::Closed))), "{asked:?}");
    }
    assert_eq!((lane.take_breaks(), lane.take_breaks()), (1, 0));
}

#[cfg(target_os = "linux")] // Others throw away what has come when a connection is reset.
#[tokio::test]
async fn a_farewell_is_heard_though_nothing_can_be_sent_any_more() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let left_out = sending().once();
    let asking = peer.ask(&lane, &left_out);
    tokio::pin!(asking);
    let mut served = tokio::select! {
        _ = &mut asking => panic!("nobody has answered"),
        served = async {
            let mut served = peer.welcome().await;
            served.hear().await;
            served
        } => served,
    };
    served.say(false, Kind::Farewell, 0, |_| {}).await;
    // The connection is reset: from now on nothing can be sent on it.
    socket2::SockRef::from(&served.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(served);
    let second = sending();
    let again = async {
        let mut served = peer.welcome().await;
        for id in 1..=2 {
            assert_eq!(served.hear().await.map(|(_, id)| id), Some(id));
            served.refuse(id, "new").await;
        }
        served
    };
    // Its task learns that there is something to send and that something has come at the same moment.
    let (second, left_out, _served) = tokio::join!(biased; peer.ask(&lane, &second), asking, again);
    assert_eq!([second.unwrap(), left_out.unwrap()], ["new", "new"].map(answer));
}

#[tokio::test]
async fn a_closed_lane_ends_its_connection_and_asks_nothing_more() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let first = sending();
    let peers_part = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        lane.close();
        assert_eq!(served.hear().await, None, "it is closed, though somebody waits");
    };
    let ((), asked) = tokio::join!(peers_part, peer.ask(&lane, &first));
    assert!(matches!(asked, Err(Unanswered::NoAnswer(NoAnswer::Closed))), "{asked:?}");
    let asked = peer.ask(&lane, &sending()).await;
    assert!(matches!(asked, Err(Unanswered::NoAnswer(NoAnswer::NoConnection(_)))), "{asked:?}");
}

#[tokio::test]
async fn whoever_answers_a_hello_otherwise_speaks_no_frames() {
    let peer = Peer::new().await;
    let declined = |code| Declined {
        versions: Versions { lowest: 9, highest: 9 },
        code: Some(code),
        sentence: "no".to_owned(),
    };
    let mut long = Vec::new();
    peer.words(1).write(&mut long);
    // A field that everybody passes over, and too many bytes of it.
    long.truncate(long.len() - 1);
    long.extend([&[101, 0x80, 0x08][..], &[0; HELLO_BYTES_MAX], &[0]].concat());
    for case in 0..6 {
        let lane = Lane::new();
        let peers_part = async {
            let mut served = peer.accept().await;
            match case {
                0 => served.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap(),
                1 => served.say(true, Kind::Declined, 0, |to| declined(Code::BadRequest).write(to)).await,
                2 => served.say(true, Kind::Welcome, 0, |to| peer.words(9).write(to)).await,
                3 => served.say(true, Kind::Welcome, 0, |to| to.push(1)).await,
                4 => served.say(true, Kind::Welcome, 0, |to| to.extend(&long)).await,
                _ => served.say(true, Kind::Pong, 0, |to| to.push(1)).await,
            }
        };
        let sending = sending();
        let ((), asked) = tokio::join!(peers_part, peer.ask(&lane, &sending));
        assert!(matches!(asked, Err(Unanswered::NotSpoken(_))), "{case}: {asked:?}");
        assert!(!sending.is_in_doubt());
    }
    for is_told in [true, false] {
        let ends = async {
            let mut served = peer.accept().await;
            if is_told {
                served.say(true, Kind::Declined, 0, |to| declined(Code::Busy).write(to)).await;
            }
        };
        let (sending, lane) = (sending(), Lane::new());
        let ((), asked) = tokio::join!(ends, peer.ask(&lane, &sending));
        assert!(matches!(asked, Err(Unanswered::NoAnswer(NoAnswer::Closed))), "{asked:?}");
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_leaves_the_request_in_doubt() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let peers_part = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.say(false, Kind::State, 1, |to| to.push(7)).await;
        served.hear().await;
        served.stream.write_all(&[0xff; 16]).await.unwrap();
        served
    };
    let asks = async {
        for _ in 0..2 {
            let sending = sending().once();
            let asked = peer.ask(&lane, &sending).await;
            assert!(matches!(asked, Err(Unanswered::Wrong(_))), "{asked:?}");
            assert!(sending.is_in_doubt(), "what it says nobody knows");
        }
    };
    tokio::join!(peers_part, asks);
}

#[tokio::test]
async fn a_hello_that_is_given_up_is_noted_once() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let sending = sending();
    let asking = peer.ask(&lane, &sending);
    let waits = async {
        let served = peer.accept().await;
        tokio::time::sleep(2 * DEAF_AFTER).await;
        served
    };
    tokio::select! {
        _ = asking => panic!("nobody has answered"),
        _served = waits => {}
    }
    assert!(lane.was_unheard() && !lane.was_unheard());
    assert!(!sending.is_in_doubt());
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let peers_part = async {
        let mut served = peer.welcome().await;
        served.hear().await;
        served.refuse(1, "no").await;
        served
    };
    let sending = sending();
    let (mut served, asked) = tokio::join!(peers_part, peer.ask(&lane, &sending));
    asked.unwrap();
    lane.close_idle(DEADLINE);
    assert!(lane.opened(&terms(), 0).is_some(), "it is young");
    lane.close_idle(Duration::ZERO);
    assert_eq!(served.hear().await, None);
}
