//! Numbers and times for people, and text from others fit for one line of a terminal.

use super::text::escaped;

/// Letters of a key that are shown.
const KEY_CHARS_MAX: usize = 200;

/// A text of another on one line: what could steer a terminal is escaped, and what is behind so many characters is left out.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    cut(&escaped(text.as_bytes()), chars_max)
}

/// A key on one line.
pub(crate) fn shown_key(key: &[u8]) -> String {
    cut(&escaped(key), KEY_CHARS_MAX)
}

/// The beginning of a line, with a mark where there is more of it. The mark is among the characters counted.
pub(crate) fn cut(line: &str, chars_max: usize) -> String {
    if line.chars().nth(chars_max).is_none() {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(chars_max.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// A sentence in lines of no more than so many letters, those behind the first indented by two; words that are longer stay whole.
pub(crate) fn wrapped(sentence: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return sentence.to_owned() };
    let (mut text, mut length) = (String::with_capacity(sentence.len()), 0);
    for word in sentence.split(' ') {
        let n_chars = word.chars().count();
        if length > 0 && length + 1 + n_chars > columns {
            text.push_str("\n  ");
            length = 2;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += n_chars;
    }
    text
}

/// A part of a whole, from 0 to 1.
pub(crate) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent >= 9.95 || percent <= 0.0 || !percent.is_finite() {
        format!("{percent:.0} %")
    } else if percent >= 0.995 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// One thing or several.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", super::table::thousands(number), if number == 1 { one } else { many })
}

/// A size in memory or on a disk.
pub(crate) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = bytes as f64;
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut unit = "bytes";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1} {unit}")
}

/// A short time.
pub(crate) fn micros(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ms = us as f64 / 1000.0;
    match us {
        0..1000 => format!("{us} us"),
        1000..10_000 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// A long time.
pub(crate) fn lasting(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} days", hours / 24),
    }
}

/// A time of the day in UTC, of milliseconds since 1970.
pub(crate) fn clock(at_ms: u64) -> String {
    let seconds = at_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A long number of digits as its beginning and its end.
pub(crate) fn brief(digits: &str) -> String {
    let n_chars = digits.chars().count();
    if n_chars <= 14 {
        return digits.to_owned();
    }
    let (head, tail): (String, String) =
        (digits.chars().take(6).collect(), digits.chars().skip(n_chars - 4).collect());
    format!("{head}...{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_another_says_stays_on_its_line_and_steers_nothing() {
        assert_eq!(shown("a \"node\" <b>", 40), "a \"node\" <b>");
        assert_eq!(shown("\u{1b}[2J\r\n\u{202e}x", 60), r"\u{1b}[2J\r\n\u{202e}x");
        let long = shown(&"\u{1f600}".repeat(1024), 50);
        assert_eq!((long.chars().count(), long.ends_with("...")), (50, true));
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc...");
        assert_eq!(wrapped("a bc def ghijklm no", Some(6)), "a bc\n  def\n  ghijklm\n  no");
        assert_eq!(wrapped("a bc", None), "a bc");
    }

    #[test]
    fn numbers_are_as_long_as_people_read_them() {
        let shares = [0.0, 0.000_123, 0.0123, 0.123, 1.0];
        assert_eq!(shares.map(percent), ["0 %", "0.01 %", "1.2 %", "12 %", "100 %"]);
        assert_eq!([0, 1023, 1024, 5 << 20].map(bytes), ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB"]);
        assert_eq!([999, 1500, 25_000].map(micros), ["999 us", "1.5 ms", "25 ms"]);
        let times = [59_000, 61_000, 3_661_000, 200_000_000];
        assert_eq!(times.map(lasting), ["59 s", "1 min", "1 h 1 min", "2 days"]);
        assert_eq!(clock(86_400_000 + 3_723_000), "01:02:03 UTC");
        assert_eq!(brief("123456789012345678"), "123456...5678");
        assert_eq!(
            (count(1, "copy", "copies"), count(1200, "copy", "copies")),
            ("1 copy".into(), "1,200 copies".into())
        );
    }
}
