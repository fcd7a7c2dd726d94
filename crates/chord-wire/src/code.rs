//! Codes: why a request failed, in one word that every door can translate.

use std::fmt;

/// Why a node did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The request makes no sense. Retrying does not help.
    BadRequest,
    /// The body is not written in the language of this door. Retrying does not help.
    Malformed,
    /// The sender may not ask for this.
    Forbidden,
    /// Nobody is let in here without a secret that the node knows. Nothing changed.
    NoSecret,
    /// No such command.
    UnknownCommand,
    /// The command exists, but not by this method.
    MethodNotAllowed,
    /// The request, its key or its value is larger than this node accepts.
    TooLarge,
    /// The request did not arrive in time.
    TooSlow,
    /// The value is not text, and this door carries text only.
    NotText,
    /// The node belongs to no ring yet.
    NotMember,
    /// The node belongs to a ring already.
    AlreadyMember,
    /// Another node stands on the same position.
    PositionTaken,
    /// The two nodes count positions modulo different numbers.
    RingSizeDiffers,
    /// The two nodes belong to rings of different names.
    ForeignRing,
    /// A node cannot join itself.
    JoinSelf,
    /// The node to join could not be reached or did not let us in. Retrying may help.
    JoinFailed,
    /// No live node leads to the owner. Retrying helps once the ring has healed.
    NoRoute,
    /// The request was sent on as often as is allowed. Retrying helps once the ring has healed.
    HopLimit,
    /// Too much to do at the moment. Retrying helps.
    Busy,
    /// The deadline passed, and nothing changed; of a join or a shutdown, that it goes on.
    Deadline,
    /// The store is full or failed.
    StoreFailed,
    /// A newer write is there already. Retrying helps.
    Outdated,
    /// The version is too far ahead of this node's clock to be believed: one of two clocks is wrong.
    ClockAhead,
    /// What was to be changed is not as the request said that it must be. Nothing changed.
    ConditionFailed,
    /// The value is no whole number. Nothing changed.
    NotANumber,
    /// The number would be too large or too small. Nothing changed.
    OutOfRange,
    /// Fewer copies were made in time than were asked for. It is not known whether the write will take effect.
    TooFewCopies,
    /// The owner did not answer in time. It is not known whether the write will take effect.
    Uncertain,
    /// Nothing is stored under the key.
    Absent,
    /// The owner is a node of another program, which cannot do this. Nothing changed.
    OtherProgram,
    /// The body is of a kind, or packed in a way, that this node does not read.
    MediaType,
    /// A mistake of ours.
    Internal,
}

/// What a code is in each language.
struct Row {
    token: &'static str,
    http_status: u16,
    fault_code: i32,
}

const _: () = assert!(Code::Internal as usize + 1 == Code::ALL.len(), "a code is missing in ALL");

impl Code {
    /// All codes.
    pub const ALL: [Self; 32] = [
        Self::BadRequest,
        Self::Malformed,
        Self::Forbidden,
        Self::NoSecret,
        Self::UnknownCommand,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::TooSlow,
        Self::NotText,
        Self::NotMember,
        Self::AlreadyMember,
        Self::PositionTaken,
        Self::RingSizeDiffers,
        Self::ForeignRing,
        Self::JoinSelf,
        Self::JoinFailed,
        Self::NoRoute,
        Self::HopLimit,
        Self::Busy,
        Self::Deadline,
        Self::StoreFailed,
        Self::Outdated,
        Self::ClockAhead,
        Self::ConditionFailed,
        Self::NotANumber,
        Self::OutOfRange,
        Self::TooFewCopies,
        Self::Uncertain,
        Self::Absent,
        Self::OtherProgram,
        Self::MediaType,
        Self::Internal,
    ];

    /// The one table.
    ///
    /// The numbers below 0 are those of the "Specification for Fault Code Interoperability" of XML-RPC; the seed's
    /// own faults all have the number 1, so ours begin beyond it.
    const fn row(self) -> Row {
        let (token, http_status, fault_code) = match self {
            Self::BadRequest => ("bad-request", 400, -32_602),
            Self::Malformed => ("malformed", 400, -32_700),
            Self::Forbidden => ("forbidden", 403, 101),
            Self::NoSecret => ("no-secret", 401, 128),
            Self::UnknownCommand => ("unknown-command", 404, -32_601),
            Self::MethodNotAllowed => ("method-not-allowed", 405, 102),
            Self::TooLarge => ("too-large", 413, 103),
            Self::TooSlow => ("too-slow", 408, 104),
            Self::NotText => ("not-text", 406, 105),
            Self::NotMember => ("not-member", 409, 106),
            Self::AlreadyMember => ("already-member", 409, 107),
            Self::PositionTaken => ("position-taken", 409, 108),
            Self::RingSizeDiffers => ("ring-size-differs", 409, 109),
            Self::ForeignRing => ("foreign-ring", 409, 110),
            Self::JoinSelf => ("join-self", 409, 111),
            Self::JoinFailed => ("join-failed", 502, 112),
            Self::NoRoute => ("no-route", 503, 113),
            Self::HopLimit => ("hop-limit", 503, 114),
            Self::Busy => ("busy", 503, 115),
            Self::Deadline => ("deadline", 504, 116),
            Self::StoreFailed => ("store-failed", 507, 117),
            Self::Outdated => ("outdated", 409, 118),
            Self::ClockAhead => ("clock-ahead", 400, 119),
            Self::ConditionFailed => ("condition-failed", 412, 120),
            Self::NotANumber => ("not-a-number", 409, 121),
            Self::TooFewCopies => ("too-few-copies", 504, 122),
            Self::OutOfRange => ("out-of-range", 409, 123),
            Self::Uncertain => ("uncertain", 504, 124),
            Self::Absent => ("absent", 404, 125),
            Self::OtherProgram => ("other-program", 501, 126),
            Self::MediaType => ("media-type", 415, 127),
            Self::Internal => ("internal", 500, -32_603),
        };
        Row { token, http_status, fault_code }
    }

    /// The code as one word, which stays the same from version to version.
    pub const fn as_str(self) -> &'static str {
        self.row().token
    }

    /// The code of that word.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == token)
    }

    /// The status of an HTTP answer.
    pub const fn http_status(self) -> u16 {
        self.row().http_status
    }

    /// The number of an XML-RPC fault, which stays the same from version to version.
    pub const fn fault_code(self) -> i32 {
        self.row().fault_code
    }

    /// The code of that number; `None` for numbers that are not ours, such as the seed's 1.
    pub fn from_fault_code(fault_code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.fault_code() == fault_code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_word() {
        for code in Code::ALL {
            assert_eq!(Code::from_token(code.as_str()), Some(code));
        }
        assert_eq!(Code::from_token("Bad-Request"), None);
    }

    #[test]
    fn every_code_is_found_by_its_number_and_none_has_the_seeds() {
        for code in Code::ALL {
            assert_eq!(Code::from_fault_code(code.fault_code()), Some(code));
        }
        assert_eq!(Code::from_fault_code(1), None);
        let known = [Code::Malformed, Code::UnknownCommand, Code::BadRequest].map(Code::fault_code);
        assert_eq!(known, [-32_700, -32_601, -32_602]);
    }

    #[test]
    fn every_code_is_an_http_error_and_a_word_in_kebab_case() {
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
    }
}
