//! A node and its only neighbour, which is played by a test.

use super::*;

pub(crate) fn record(key: &[u8], position: Position) -> Record {
    let key = Key::new(key).expect("it is short");
    let value = Some(Value::new(b"value", 100).expect("it is short"));
    Record { position, key, value, version: Version::new(1, 0, position), expires_at_ms: None }
}

/// A node and its only neighbour, which names it as its successor and answers everything else as it is told.
pub(crate) struct Pair<F> {
    pub(crate) node: Replicator,
    now_ms: u64,
    neighbour: F,
    pub(crate) ended: Vec<Output>,
}

impl<F: Fn(&PeerRequest) -> Result<PeerAnswer, Failure>> Pair<F> {
    pub(crate) fn new(store: Arc<dyn Store>, neighbour: F) -> Self {
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let node = Replicator::new(peer(0), Settings::new(size()), store, now);
        Self { node, now_ms: 1, neighbour, ended: Vec::new() }
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let now = Now { elapsed: Duration::from_millis(self.now_ms), wall_ms: self.now_ms };
        self.node.handle(now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Send(id, _, request) => {
                    let answer = (self.neighbour)(&request);
                    self.node.handle(now, Input::Answer(id, answer));
                }
                Output::FindOwner(id, _) => self.node.handle(now, Input::Found(id, None)),
                ended => self.ended.push(ended),
            }
        }
    }

    pub(crate) fn join(&mut self) {
        let predecessor = Some(peer(1));
        self.feed(Input::Neighbours(Neighbours { is_member: true, predecessor, successors: vec![peer(1)] }));
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            self.feed(Input::Tick);
        }
    }

    /// What a read of that key is answered within a second.
    pub(crate) fn get(&mut self, key: &Key) -> Option<Result<Option<Record>, OperationError>> {
        self.operate(key, Operation::Get)
    }

    pub(crate) fn operate(
        &mut self,
        key: &Key,
        operation: Operation,
    ) -> Option<Result<Option<Record>, OperationError>> {
        self.ended.clear();
        let until = Duration::from_millis(self.now_ms + 900);
        let (key, consistency) = (key.clone(), Consistency::Usual);
        self.feed(Input::Operate {
            token: Token(7),
            position: key.position(size()),
            key,
            operation,
            proposal: Proposal::LeftToOwner,
            consistency,
            until,
        });
        self.pass(1000);
        self.ended.iter().find_map(|output| match output {
            Output::Done(_, result) => Some(result.clone().map(|outcome| outcome.record)),
            _ => None,
        })
    }
}

/// Keys whose positions this node owns if the other is its predecessor, or not.
pub(crate) fn keys_owned(is_owned: bool) -> impl Iterator<Item = Key> {
    let range = Range { after: peer(1).position, up_to: peer(0).position };
    let keys = (0..=u8::MAX).map(|byte| Key::new(&[byte]).expect("it is short"));
    keys.filter(move |key| range.contains(key.position(size())) == is_owned)
}

pub(crate) fn key_owned(is_owned: bool) -> Key {
    keys_owned(is_owned).next().expect("there is one")
}

/// A neighbour that has everything, which is that record.
pub(crate) fn owner_of(record: Record) -> impl Fn(&PeerRequest) -> Result<PeerAnswer, Failure> {
    let standing = || Standing { is_settled: true, beyond: Vec::new() };
    move |request| {
        let body = match request {
            PeerRequest::Vouch => AnswerBody::Vouched(true),
            PeerRequest::Compare { .. } => {
                AnswerBody::Compared { standing: standing(), comparison: Comparison::Short }
            }
            PeerRequest::List { .. } => {
                let headers = vec![Header::from(&record)];
                AnswerBody::Listed { account: Account::default(), headers, next: None }
            }
            PeerRequest::Fetch { .. } => {
                AnswerBody::Fetched { standing: standing(), looked_at: 1, records: vec![record.clone()] }
            }
            _ => return Err(Failure::Silent),
        };
        Ok(PeerAnswer { leaving: false, body })
    }
}
