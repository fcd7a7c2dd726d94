//! How messages get from node to node.

use chord_ring::{
    Answer, Failure, Found, Input, Lookup, Node, NodeName, Output, Request, RequestId, Step, Token, Wake,
};

use super::{Cluster, LIFE, Message};

impl Cluster {
    /// From now on messages wait for [`Cluster::deliver`].
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Delivers all that waits; from now on all that follows from an input is delivered with it.
    pub fn release(&mut self) {
        self.is_held = false;
        self.settle();
    }

    /// Whether messages wait for [`Cluster::deliver`].
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// What was sent and has not arrived, the oldest first.
    pub fn in_flight(&self) -> &[Message] {
        &self.in_flight
    }

    /// Feeds one input, and unless messages are held, all that follows from it.
    pub fn input(&mut self, node: &NodeName, input: Input) {
        self.inputs(vec![(node.clone(), input)]);
    }

    /// Feeds several inputs at one instant: the messages that follow from them mix.
    pub fn inputs(&mut self, inputs: Vec<(NodeName, Input)>) {
        for (node, input) in inputs {
            self.feed(&node, input);
        }
        self.settle_unless_held();
    }

    pub(super) fn settle_unless_held(&mut self) {
        if !self.is_held {
            self.settle();
        }
    }

    /// Delivers messages, the oldest first, until none is left but those to the frozen.
    pub fn settle(&mut self) {
        loop {
            let oldest = self.deliverable().next();
            let Some(oldest) = oldest else { return };
            self.deliver(oldest);
        }
    }

    /// The places of the messages that can be delivered: a frozen node hears its answers when it thaws.
    pub fn deliverable(&self) -> impl Iterator<Item = usize> {
        let waits =
            |message: &Message| matches!(message, Message::Answer { to, .. } if self.frozen.contains(to));
        self.in_flight.iter().enumerate().filter(move |(_, message)| !waits(message)).map(|(idx, _)| idx)
    }

    /// Delivers the message at that place of [`Cluster::in_flight`], if there is one.
    pub fn deliver(&mut self, idx: usize) {
        if idx >= self.in_flight.len() {
            return;
        }
        match self.in_flight.remove(idx) {
            Message::Request { id, from, to, request } => {
                let (answer, later) = self.ask(&from, &to, request);
                if self.is_alive(&from, id) {
                    self.in_flight.push(Message::Answer { id, from: to.clone(), to: from, answer });
                }
                for output in later {
                    self.act(&to, output);
                }
            }
            Message::Answer { id, to, answer, .. } => self.feed(&to, Input::Answer(id, answer)),
        }
    }

    /// Runs one lookup from `at` to its end, all of it at this instant.
    ///
    /// # Errors
    /// No owner was found, or there is no node `at`.
    ///
    /// # Panics
    /// A node forwards the question to itself or to one that has had it: a defect of [`Lookup`].
    pub fn look_up(&mut self, at: &NodeName, mut lookup: Lookup) -> Result<Found, Failure> {
        loop {
            let Some(view) = self.nodes.get(at).map(|node| node.view().clone()) else {
                return Err(Failure::Unreachable);
            };
            let (peer, question) = match lookup.step(&view) {
                Step::Here(found) => return Ok(found),
                Step::Stuck(refusal) => return Err(Failure::Refused(refusal)),
                Step::Ask { peer, question, .. } => (peer, question),
            };
            assert!(peer.name != *at, "{at} forwards to itself");
            // The asker stands in the path without having been asked.
            let asked = question.path.get(1..).unwrap_or_default();
            assert!(!asked.contains(&peer.name), "{} is asked twice: {:?}", peer.name, question.path);
            match self.ask(at, &peer.name, Request::FindSuccessor(question)).0 {
                Ok(Answer::Found(found)) => return Ok(lookup.answered(&view, &peer, found)),
                Ok(_) => lookup.failed(&peer.name, &Failure::Garbled),
                Err(failure) => lookup.failed(&peer.name, &failure),
            }
        }
    }

    fn feed(&mut self, at: &NodeName, input: Input) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.handle(input);
        for output in drain(node) {
            self.act(at, output);
        }
    }

    /// Carries out one effect.
    fn act(&mut self, node: &NodeName, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                self.in_flight.push(Message::Request { id, from: node.clone(), to, request });
            }
            Output::Done(token, result) => {
                self.outcomes.insert(token, result);
                if let Some(leaver) = self.leaving.remove(&token) {
                    self.remove(&leaver);
                }
            }
            Output::Wake(Wake::RetryJoin, _) => _ = self.resting.insert(node.clone()),
            Output::Event(event) => self.events.push((node.clone(), event)),
            // A reply to somebody outside: `ask` takes those to other nodes.
            Output::Reply(..) | Output::Wake(Wake::Maintain, _) | Output::ViewChanged => {}
        }
    }

    /// Puts a request to a peer: its answer, and what else it wants done.
    fn ask(
        &mut self,
        from: &NodeName,
        to: &NodeName,
        request: Request,
    ) -> (Result<Answer, Failure>, Vec<Output>) {
        self.n_requests += 1;
        if self.frozen.contains(to) || self.cut.contains(&(from.clone(), to.clone())) {
            return (Err(Failure::Silent), Vec::new());
        }
        let asker = self.nodes.get(from).map(|node| node.view().me().clone());
        let Some(node) = self.nodes.get_mut(to) else { return (Err(Failure::Unreachable), Vec::new()) };
        if let Request::FindSuccessor(question) = request {
            return (self.look_up(to, Lookup::new(question)).map(Answer::Found), Vec::new());
        }
        let asker = asker.filter(|_| request == Request::GetState);
        node.handle(Input::Request(Token(0), Some(self.config.ring().clone()), request));
        let mut reply = Err(Failure::Garbled);
        let mut later = Vec::new();
        for output in drain(node) {
            match output {
                Output::Reply(_, answer) => reply = answer.map_err(Failure::Refused),
                other => later.push(other),
            }
        }
        if let Some(asker) = asker {
            node.handle(Input::AskedBy(asker)); // As the door of a running node does.
            later.extend(drain(node));
        }
        (reply, later)
    }

    fn is_alive(&self, name: &NodeName, id: RequestId) -> bool {
        let life = self.lives.get(name).copied().unwrap_or_default();
        self.nodes.contains_key(name) && id.incarnation.0 / LIFE == life
    }
}

fn drain(node: &mut Node) -> Vec<Output> {
    std::iter::from_fn(|| node.poll()).collect()
}
