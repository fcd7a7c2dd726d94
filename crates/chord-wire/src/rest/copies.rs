//! The copies of one key: who should have one, and what each has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::NodeBody;

/// Who keeps a key, and what each of them has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CopiesBody {
    /// Where the key lies.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// The node that owns it.
    pub owner: NodeBody,
    /// The owner first, then those that it has chosen to keep copies.
    pub copies: Vec<CopyBody>,
    /// Whether all of them answered, and have the same.
    pub do_agree: bool,
    /// The same in words.
    pub verdict: String,
}

/// What one node has of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyBody {
    /// The node.
    pub node: String,
    /// What it has.
    pub has: CopyState,
    /// The same in words, to be read behind the node's name; an older version does not say it.
    #[serde(default)]
    pub words: String,
    /// The version of that.
    pub version: Option<String>,
}

impl CopiesBody {
    /// Who keeps the key at that position, and what each has.
    pub fn new(position: String, owner: NodeBody, copies: Vec<CopyBody>, do_agree: bool) -> Self {
        let is_anywhere = copies.iter().any(|copy| copy.has != CopyState::Nothing);
        let verdict = match (do_agree, is_anywhere) {
            (true, false) => "Nothing is stored under this key.",
            (true, true) => "They agree.",
            (false, _) => "They do not agree yet: the owner brings them up to date.",
        };
        Self { position, owner, copies, do_agree, verdict: verdict.to_owned() }
    }
}

impl CopyBody {
    /// What that node has.
    pub fn new(node: String, has: CopyState, version: Option<String>) -> Self {
        Self { node, has, words: has.in_words().to_owned(), version }
    }
}

impl CopyState {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Value => "has the value",
            Self::Deleted => "knows that it was deleted",
            Self::Nothing => "has nothing",
            Self::Unknown => "did not say",
        }
    }
}

/// What a node has of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CopyState {
    /// A value.
    Value,
    /// That it was deleted, or has expired.
    Deleted,
    /// Nothing.
    Nothing,
    /// It did not say.
    Unknown,
}
