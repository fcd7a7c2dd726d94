//! Reading a file of configuration: what it says, or everything that is wrong with it.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::exit::one_line;
use super::super::files::explained;
use super::super::text::escaped;
use super::super::words;
use super::keys::{Key, Kind, nearest};

/// Longest file: many times what all keys with a comment each take.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// How many characters of a name that is no key are shown.
const NAME_CHARS_MAX: usize = 40;

/// What a file says.
#[derive(Debug)]
pub(crate) struct File {
    pub(super) path: PathBuf,
    /// In the order of the lines.
    pub(super) entries: Vec<Entry>,
}

/// What it says about one key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) name: String,
    /// As they would stand on the command line.
    pub(super) values: Vec<String>,
    pub(super) line: usize,
}

impl File {
    /// Whether it says something about that key.
    pub(super) fn says(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name && !entry.values.is_empty())
    }
}

/// What was found in a file, also in one that is wrong.
#[derive(Debug)]
pub(super) struct Looked {
    /// What could be understood.
    pub(super) file: File,
    pub(super) mistakes: Vec<Mistake>,
    /// Keys that it says something about, or means to, and nobody knows what.
    pub(super) unread: Vec<String>,
    /// It is no TOML somewhere, and nobody can tell what is about what.
    pub(super) is_broken: bool,
}

/// Something that is wrong, in one sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    path: PathBuf,
    pub(super) line: Option<usize>,
    sentence: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}

impl Mistake {
    pub(super) fn of(file: &File, line: Option<usize>, sentence: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, sentence: sentence.into() }
    }
}

/// Reads a file. Returns all that is wrong with it, which is at least one thing, if it is not right.
pub(crate) fn read(path: &Path, keys: &[Key<'_>]) -> Result<File, Vec<Mistake>> {
    let Looked { file, mistakes, .. } = look(path, keys);
    if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
}

/// Reads a file, line by line.
pub(super) fn look(path: &Path, keys: &[Key<'_>]) -> Looked {
    let wrong = |(line, sentence)| Mistake { path: path.to_owned(), line, sentence };
    let mut file = File { path: path.to_owned(), entries: Vec::new() };
    let (mut mistakes, mut unread) = (Vec::new(), Vec::new());
    let text = text_of(path).unwrap_or_else(|found| {
        mistakes.push(wrong(found));
        String::new()
    });
    let (table, broken) = DeTable::parse_recoverable(&text);
    let is_broken = !broken.is_empty();
    for error in broken {
        let line = error.span().map(|span| line_of(&text, &span));
        let said = one_line(error.message());
        mistakes.push(wrong((line, format!("this is no TOML ({said}): {}", remedy(&said)))));
    }
    for (name, value) in table.get_ref() {
        let line = line_of(&text, &name.span());
        match entry(keys, name.get_ref(), value) {
            Ok(values) => file.entries.push(Entry { name: name.get_ref().to_string(), values, line }),
            // Of what is broken the parser makes something that nobody wrote.
            Err(_) if mistakes.iter().any(|mistake| mistake.line == Some(line)) => {}
            Err(sentence) => {
                unread.extend(
                    [Some(name.get_ref().as_ref()), nearest(keys, name.get_ref())]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned),
                );
                mistakes.push(wrong((Some(line), sentence)));
            }
        }
    }
    file.entries.sort_by_key(|entry| entry.line);
    mistakes.sort_by_key(|mistake| mistake.line);
    Looked { file, mistakes, unread, is_broken }
}

/// What helps, by what the parser says.
fn remedy(said: &str) -> &'static str {
    if said.contains("duplicate key") {
        "keep one of its lines"
    } else {
        "a line is KEY = VALUE, with text in quotes, or a comment behind #"
    }
}

/// The values of one key, as texts.
fn entry(keys: &[Key<'_>], name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let shown = || words::cut(&escaped(name.as_bytes()), NAME_CHARS_MAX);
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        let near = nearest(keys, name).map(|near| format!(": did you mean `{near}`?"));
        return Err(match (near, value.get_ref()) {
            (Some(near), _) => format!("there is no key `{}`{near}", shown()),
            (None, DeValue::Table(_)) => {
                format!(
                    "`{}` is a table, and there are none: all keys stand at the beginning of a line",
                    shown()
                )
            }
            (None, _) => {
                format!("there is no key `{}`: `chord config example` has all that there are", shown())
            }
        });
    };
    let values = texts(key.kind, value.get_ref()).ok_or_else(|| {
        format!("{name} is {}, and not {}", key.kind.wanted(name), kind_of(value.get_ref()))
    })?;
    key.check(&values).map_err(|sentence| format!("{name}: {sentence}"))?;
    Ok(values)
}

fn texts(kind: Kind, value: &DeValue<'_>) -> Option<Vec<String>> {
    let one = match (kind, value) {
        (Kind::Switch, DeValue::Boolean(is_on)) => is_on.to_string(),
        (Kind::Number | Kind::Size, DeValue::Integer(number)) => {
            // Beyond these bits it is out of every range: its parser says so of the digits.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            decimal.map_or_else(|_| number.as_str().to_owned(), |decimal| decimal.to_string())
        }
        (Kind::Size | Kind::Time | Kind::Text | Kind::Texts, DeValue::String(text)) => text.to_string(),
        (Kind::Texts, DeValue::Array(list)) => {
            return list.iter().map(|one| one.get_ref().as_str().map(str::to_owned)).collect();
        }
        _ => return None,
    };
    Some(vec![one])
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "such a list",
        DeValue::Table(_) => "a table",
    }
}

/// The line in which a part begins.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or(text.as_bytes());
    before.split(|byte| *byte == b'\n').count()
}

/// The whole text, or what is wrong with the file.
fn text_of(path: &Path) -> Result<String, (Option<usize>, String)> {
    let cannot = |error: &io::Error| (None, format!("cannot be read: {}", explained(error)));
    let about = fs::metadata(path).map_err(|error| cannot(&error))?;
    if about.is_dir() {
        return Err((None, "is a directory: name a file in it".to_owned()));
    }
    if !about.is_file() {
        return Err((None, "is no file but a device or a pipe, which may never end: name a file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).map_err(|error| cannot(&error))?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err((
            None,
            format!(
                "is longer than {} KiB, as no file of configuration is: name another one",
                FILE_BYTES_MAX >> 10
            ),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        (Some(line), "is not text (UTF-8) here: save it as UTF-8".to_owned())
    })?;
    Ok(text)
}
