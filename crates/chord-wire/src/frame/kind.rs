//! Kinds of frames.

/// What a frame is. The number of each stays the same from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// Who connected, and which versions it speaks.
    Hello = 1,
    /// Who is there, and which version is spoken from here on.
    Welcome = 2,
    /// The other side speaks no frames with whoever connected.
    Declined = 3,
    /// The sender takes no request whose number is higher than this frame's.
    Farewell = 4,
    /// A message that is longer than a frame will come in pieces.
    Announced = 5,
    /// A piece of the first message that was announced and is not whole.
    Piece = 6,
    /// The sender knows a secret of the ring.
    Proof = 7,
    /// Request: are you a member?
    Ping = 16,
    /// Request: your predecessor and your successor list.
    GetState = 17,
    /// Request: I believe that I am your predecessor.
    Notify = 18,
    /// Request: your predecessor left, and knew none of its own.
    ForgetPredecessor = 19,
    /// Request: I leave.
    Leave = 20,
    /// Request: who owns a position?
    FindSuccessor = 21,
    /// Request: something about records, between those who keep copies.
    Records = 32,
    /// Request: do this to a key.
    Operate = 33,
    /// Request: what do you tell of yourself?
    Describe = 34,
    /// Request: what a build for tests asks instead of [`Kind::Ping`].
    #[cfg(feature = "next-protocol")]
    Greet = 111,
    /// What a build for tests says unasked.
    #[cfg(feature = "next-protocol")]
    Remark = 112,
    /// Answer to [`Kind::Ping`].
    Pong = 128,
    /// Answer to [`Kind::GetState`].
    State = 129,
    /// Answer: it is done.
    Done = 130,
    /// Answer to [`Kind::FindSuccessor`].
    Found = 131,
    /// Answer to [`Kind::Records`].
    Told = 144,
    /// Answer to [`Kind::Operate`].
    Operated = 145,
    /// Answer to [`Kind::Describe`].
    Described = 146,
    /// Answer: no, and why.
    Refused = 255,
}

/// What to do with a frame whose kind one does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is about the connection, which cannot go on.
    Connection,
    /// It wants an answer: it is refused by the number of its kind.
    Request,
    /// It wants none: it is passed over.
    Notice,
    /// It answers a request, which has failed.
    Answer,
}

impl Class {
    /// That of any kind, known or not.
    pub const fn of(kind: u8) -> Self {
        match kind {
            0..16 => Self::Connection,
            16..112 => Self::Request,
            112..128 => Self::Notice,
            128..=255 => Self::Answer,
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Hello,
        Self::Welcome,
        Self::Declined,
        Self::Farewell,
        Self::Announced,
        Self::Piece,
        Self::Proof,
        Self::Ping,
        Self::GetState,
        Self::Notify,
        Self::ForgetPredecessor,
        Self::Leave,
        Self::FindSuccessor,
        Self::Records,
        Self::Operate,
        Self::Describe,
        #[cfg(feature = "next-protocol")]
        Self::Greet,
        #[cfg(feature = "next-protocol")]
        Self::Remark,
        Self::Pong,
        Self::State,
        Self::Done,
        Self::Found,
        Self::Told,
        Self::Operated,
        Self::Described,
        Self::Refused,
    ];

    /// The kind of that number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}
