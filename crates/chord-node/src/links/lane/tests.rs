use chord_ring::{Request as RingRequest, RingName, RingSize, RingTag};
use chord_wire::frame::{
    Arrived, Declined, Hello, Inbox, Kind, Outbox, Refused, Request, VERSIONS, Versions, Welcome,
};
use chord_wire::{Code, Copies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::links::Answered;

const DEADLINE: Duration = Duration::from_secs(10);

/// A peer that speaks frames as a test wants.
struct Peer {
    listener: TcpListener,
    name: NodeName,
}

/// A connection to it.
struct Served {
    stream: TcpStream,
    inbox: Inbox,
    arrived: Vec<u8>,
}

impl Peer {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string().parse().unwrap();
        Self { listener, name }
    }

    /// Takes a connection and hears its hello.
    async fn accept(&self) -> Served {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut served = Served { stream, inbox: Inbox::of_requests(1 << 20), arrived: Vec::new() };
        let (kind, _) = served.hear().await.unwrap();
        assert_eq!(kind, Kind::Hello.number());
        served
    }

    /// The same, and says welcome.
    async fn welcome(&self) -> Served {
        let mut served = self.accept().await;
        served.say(true, Kind::Welcome, 0, |to| self.words(1).write(to)).await;
        served
    }

    fn words(&self, version: u8) -> Welcome {
        let copies = Copies { replicas: 3, write_quorum: None };
        Welcome { version, name: self.name.clone(), ring: ring(), is_member: true, copies }
    }

    async fn ask(&self, lane: &Lane, sending: &Sending) -> Result<Answer, Unanswered> {
        let asked = Asked { request: Request::Ring(RingRequest::ForgetPredecessor), remaining: None };
        let terms = terms();
        let asking = lane.ask(&self.name, &terms, sending, &asked);
        tokio::time::timeout(DEADLINE, asking).await.expect("an end in time").map(|heard| heard.answer)
    }
}

impl Served {
    async fn hear(&mut self) -> Option<(u8, u32)> {
        loop {
            let mut rest = &self.arrived[..];
            let arrived = self.inbox.next(&mut rest).unwrap();
            let came = arrived.map(|arrived| match arrived {
                Arrived::Message(message) => Some((message.kind, message.id)),
                _ => None,
            });
            let n_rest = rest.len();
            self.arrived.drain(..self.arrived.len() - n_rest);
            match came {
                Some(Some(came)) => return Some(came),
                None if self.stream.read_buf(&mut self.arrived).await.unwrap_or(0) == 0 => return None,
                Some(None) | None => {}
            }
        }
    }

    async fn say(&mut self, opens: bool, kind: Kind, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut outbox = Outbox::default();
        if opens {
            outbox.open();
        }
        outbox.put(kind, id, write);
        self.stream.write_all(outbox.unsent()).await.unwrap();
    }

    /// Refuses a request with that sentence.
    async fn refuse(&mut self, id: u32, sentence: &str) {
        let refused = answer(sentence);
        self.say(false, Kind::Refused, id, |to| refused.write(to)).await;
    }
}

fn ring() -> RingTag {
    RingTag { name: RingName::default(), size: RingSize::DEFAULT }
}

fn terms() -> Terms {
    let hello = Hello { versions: VERSIONS, name: None, ring: Some(ring()), copies: None };
    Terms { hello, value_bytes: 1 << 20 }
}

fn sending() -> Sending {
    Sending::new(Answered::WithOthers)
}

fn answer(sentence: &str) -> Answer {
    Answer::Refused(Refused { code: Some(Code::Busy), sentence: sentence.to_owned() })
}

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
async fn a_request_that_is_given_up_is_forgotten_and_its_late_answer_is_ignored() {
    let (peer, lane) = (Peer::new().await, Lane::new());
    let given_up = sending();
    let mut served = {
        let asking = peer.ask(&lane, &given_up);
        tokio::pin!(asking);
        let heard = async {
            let mut served = peer.welcome().await;
            served.hear().await;
            served
        };
        tokio::select! {
            _ = &mut asking => panic!("nobody has answered"),
            served = heard => served,
        }
    };
    assert!(given_up.is_in_doubt());
    assert_eq!(lane.requests.available_permits(), REQUESTS_MAX, "it takes no room any more");
    let sending = sending();
    let peers_part = async {
        assert_eq!(served.hear().await.map(|(_, id)| id), Some(2));
        served.refuse(1, "late").await;
        served.refuse(2, "in time").await;
    };
    let ((), asked) = tokio::join!(peers_part, peer.ask(&lane, &sending));
    assert_eq!(asked.unwrap(), answer("in time"));
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
async fn whoever_answers_a_hello_otherwise_speaks_no_frames() {
    let peer = Peer::new().await;
    let declined = |code| Declined {
        versions: Versions { lowest: 9, highest: 9 },
        code: Some(code),
        sentence: "no".to_owned(),
    };
    for case in 0..5 {
        let lane = Lane::new();
        let peers_part = async {
            let mut served = peer.accept().await;
            match case {
                0 => served.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap(),
                1 => served.say(true, Kind::Declined, 0, |to| declined(Code::BadRequest).write(to)).await,
                2 => served.say(true, Kind::Welcome, 0, |to| peer.words(9).write(to)).await,
                3 => served.say(true, Kind::Welcome, 0, |to| to.push(1)).await,
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
    assert!(lane.opened().is_some(), "it is young");
    lane.close_idle(Duration::ZERO);
    assert_eq!(served.hear().await, None);
}
