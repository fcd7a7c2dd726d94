//! Patterns as Redis's: `*`, `?`, `[a-z]`, `[^a]` and `\` before a byte that is meant itself.

/// Whether the pattern fits all of these bytes. Takes a time that grows with the product of both lengths at most.
pub(super) fn fits(pattern: &[u8], bytes: &[u8]) -> bool {
    // The last `*`, and how much of the bytes it stood for: when what follows does not fit, it stands for one more.
    let (mut rest, mut left) = (pattern, bytes);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            star = Some((after, left));
            rest = after;
            continue;
        }
        let step = left.split_first().and_then(|(byte, tail)| one(rest, *byte).map(|after| (after, tail)));
        if let Some(step) = step {
            (rest, left) = step;
            continue;
        }
        if rest.is_empty() && left.is_empty() {
            return true;
        }
        let Some((after, [_, tail @ ..])) = star else { return false };
        star = Some((after, tail));
        (rest, left) = (after, tail);
    }
}

/// What follows the part of the pattern that stands for this one byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'\\', meant, after @ ..] => (*meant == byte).then_some(after),
        [b'[', class @ ..] => {
            let (is_negated, class) = match class {
                [b'^', class @ ..] => (true, class),
                class => (false, class),
            };
            let (is_in, after) = in_class(class, byte);
            (is_in != is_negated).then_some(after)
        }
        [plain, after @ ..] => (*plain == byte).then_some(after),
        [] => None,
    }
}

/// Whether a byte is one of a class, and what follows it. One without an end ends with the pattern.
fn in_class(mut class: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut is_in = false;
    loop {
        class = match class {
            [] => return (is_in, class),
            [b']', after @ ..] => return (is_in, after),
            [b'\\', meant, after @ ..] => {
                is_in |= *meant == byte;
                after
            }
            [from, b'-', to, after @ ..] => {
                is_in |= (*from.min(to)..=*from.max(to)).contains(&byte);
                after
            }
            [plain, after @ ..] => {
                is_in |= *plain == byte;
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_it_says() {
        let cases: [(&str, &str, bool); 22] = [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "heeeell", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[abc", "c", true),
            ("user:*", "user:7", true),
        ];
        for (pattern, text, is_fit) in cases {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), is_fit, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_stars_does_not_take_for_ever() {
        let pattern = b"*a".repeat(1000);
        assert!(!fits(&pattern, &b"a".repeat(999)));
        assert!(fits(&pattern, &b"a".repeat(1000)));
    }
}
