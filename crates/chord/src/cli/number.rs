//! Numbers on the command line: parsed with their bounds, refused in a sentence.

use std::ops::RangeInclusive;

/// A parser for whole numbers in `range`; `what` begins the sentence that refuses others: "the number of
/// nodes".
pub(crate) fn within<N>(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static
where
    N: TryFrom<u64>,
{
    move |text: &str| {
        let (low, high) = (range.start(), range.end());
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| format!("{what} is a whole number from {low} to {high}"))
    }
}

/// Whole seconds that an operation may take: up to an hour, the longest time the wire can carry.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    within("the time in seconds", 1..=3600)(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_belong_to_the_range() {
        let parse = within::<u8>("the number of nodes", 1..=200);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("200"), Ok(200));
        let refused = "the number of nodes is a whole number from 1 to 200";
        for wrong in ["0", "201", "-1", "", "x", "1.5", "99999999999999999999999"] {
            assert_eq!(parse(wrong).unwrap_err(), refused);
        }
    }
}
