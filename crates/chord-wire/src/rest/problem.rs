//! Problems: why a request was refused, as RFC 9457 has it.

use serde::Serialize;

use crate::Code;
use crate::error_body::shown;

/// The content type of a problem.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Why a request was refused. `code` is for programs, `detail` for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells more than the status, and stays the same from version to version.
    #[serde(rename = "type")]
    #[schema(pattern = "^about:blank$")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong and what helps, in one sentence.
    detail: String,
    /// What is wrong, in one word.
    #[schema(example = "absent")]
    code: &'static str,
    /// Of a line of a batch whose condition did not hold: the version that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<String>,
}

impl Problem {
    /// The problem of that code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.http_status();
        let (kind, title) = ("about:blank", title(status));
        Self { kind, title, status, detail: detail.into(), code: code.as_str(), version: None }
    }

    /// The same with another status, where the code is said by several.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, title: title(status), ..self }
    }

    /// The same, which tells the version that is there.
    pub fn with_version(self, version: Option<&chord_kv::Version>) -> Self {
        Self { version: version.map(ToString::to_string), ..self }
    }

    /// The body that says it.
    pub fn encode(&self) -> Vec<u8> {
        super::body::json(self)
    }
}

/// A problem as another node tells it: its code, if it is one that is known, and its sentence, fit to be shown. `None` if the
/// body is nothing of the kind.
pub fn decode_problem(body: &[u8]) -> Option<(Option<Code>, String)> {
    #[derive(serde::Deserialize)]
    struct Told {
        detail: String,
        code: String,
    }
    let told: Told = serde_json::from_slice(body).ok()?;
    let code = Code::ALL.into_iter().find(|code| code.as_str() == told.code);
    let sentence = shown(&told.detail);
    (!sentence.trim().is_empty()).then_some((code, sentence))
}

/// The name of each status that a code can have.
pub(super) const fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_status_in_three_ways() {
        let problem = Problem::new(Code::Absent, "nothing is stored under the \"key\"");
        let text = String::from_utf8(problem.encode()).unwrap();
        let expected = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing is stored under the \"key\"","code":"absent"}"#;
        assert_eq!(text.trim_end(), expected);
    }

    #[test]
    fn every_status_of_a_code_has_a_name() {
        for code in Code::ALL {
            let is_named = title(code.http_status()) != title(500) || code.http_status() == 500;
            assert!(is_named, "{code}");
        }
    }
}
