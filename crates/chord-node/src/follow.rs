//! Files that are looked at again and again, since they change while a node runs.

use std::time::Duration;

/// Pause between two looks: these files change by hand, or once in weeks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// What a look finds wrong.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) sentence: String,
    /// The same at each look, where the sentence has the time in it.
    pub(crate) cause: String,
}

impl From<String> for Wrong {
    fn from(sentence: String) -> Self {
        Self { cause: sentence.clone(), sentence }
    }
}

/// What of the files was wrong at the last look, and at how many looks in a row.
#[derive(Debug, Default)]
struct Complaint {
    cause: String,
    looks: u32,
}

impl Complaint {
    /// Takes in what one look has found, and has said what is to be said of it.
    fn hears(
        &mut self,
        looked: Result<bool, Wrong>,
        looks_wrong: u32,
        taken: &impl Fn(),
        refused: &impl Fn(&str),
    ) {
        let Wrong { sentence, cause } = match looked {
            Ok(has_changed) => {
                *self = Self::default();
                if has_changed {
                    taken();
                }
                return;
            }
            Err(wrong) => wrong,
        };
        self.looks = if self.cause == cause { self.looks.saturating_add(1) } else { 1 };
        self.cause = cause;
        if self.looks == looks_wrong {
            refused(&sentence);
        }
    }
}

/// Looks without end; a look takes what has changed, and returns whether something has. That is said by `taken`; and by
/// `refused` once what is wrong, when the same was wrong at so many looks in a row.
pub(crate) async fn follow(
    looks_wrong: u32,
    mut look: impl FnMut() -> Result<bool, Wrong>,
    taken: impl Fn(),
    refused: impl Fn(&str),
) {
    let mut complaint = Complaint::default();
    loop {
        tokio::time::sleep(LOOK_PAUSE).await;
        // Some KiB from files that are in memory: less than a task of its own would cost.
        complaint.hears(look(), looks_wrong, &taken, &refused);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What is said of looks that come out like this.
    fn said(looks_wrong: u32, looks: &[Result<bool, &str>]) -> Vec<String> {
        let (said, mut complaint) = (RefCell::new(Vec::new()), Complaint::default());
        for look in looks {
            complaint.hears(
                look.map_err(|said| Wrong::from(said.to_owned())),
                looks_wrong,
                &|| said.borrow_mut().push("taken".to_owned()),
                &|complaint| said.borrow_mut().push(complaint.to_owned()),
            );
        }
        said.into_inner()
    }

    #[test]
    fn what_is_wrong_is_said_once_until_it_is_well_or_otherwise_wrong() {
        let looks = [Err("a"), Err("a"), Err("b"), Ok(false), Err("b"), Ok(true), Ok(false)];
        assert_eq!(said(1, &looks), ["a", "b", "b", "taken"]);
    }

    #[test]
    fn what_has_the_time_in_it_is_said_once_and_with_the_true_time() {
        let (said, mut complaint) = (RefCell::new(Vec::new()), Complaint::default());
        for time in ["10:00:00", "10:00:01", "10:00:02"] {
            let wrong = Wrong { sentence: format!("it is over at {time}"), cause: "it is over".to_owned() };
            let refused = |sentence: &str| said.borrow_mut().push(sentence.to_owned());
            complaint.hears(Err(wrong), 2, &|| {}, &refused);
        }
        assert_eq!(said.into_inner(), ["it is over at 10:00:01"]);
    }

    #[test]
    fn what_may_be_half_written_is_said_at_the_second_look() {
        let looks = [Err("a"), Err("b"), Err("b"), Err("b"), Ok(true), Err("b"), Ok(false), Err("b")];
        assert_eq!(said(2, &looks), ["b", "taken"]);
    }
}
