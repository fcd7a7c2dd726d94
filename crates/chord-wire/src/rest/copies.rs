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
}

/// What one node has of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyBody {
    /// The node.
    pub node: String,
    /// What it has.
    pub has: CopyState,
    /// The version of that.
    pub version: Option<String>,
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
