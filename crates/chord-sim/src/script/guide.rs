//! How scripts are written, for people.

use super::{EXAMPLE, form};

/// Width of the column of commands: room for most.
const GUIDE_COLUMN: usize = 25;

/// One line a paragraph: whoever shows it breaks the lines.
const GUIDE_BEGIN: &str = "\
How scripts are written: one command a line, and a comment behind `#`. NODE and POSITION are numbers on the ring; a node is called by its position.

What is printed is the script, and below each line, marked by `|`, what happened. Such lines are skipped when a script is read, so what a run prints is a script again.

Nodes do nothing by themselves: time passes where the script says `stabilize`, `round` or `converge`. A node that has crashed is found out when it is asked; one that is frozen or cut off, when it is asked for the second time in a row.
";

/// How scripts are written: every command, and an example.
pub fn guide() -> String {
    let mut guide = String::from(GUIDE_BEGIN);
    let mut line = |text: &str| {
        guide.push_str(text.trim_end());
        guide.push('\n');
    };
    for (heading, forms) in form::FORMS {
        line("");
        line(&format!("{heading}:"));
        for form in forms {
            for (idx, written) in form.written.iter().enumerate() {
                let does = if idx + 1 == form.written.len() { form.does } else { "" };
                if written.len() > GUIDE_COLUMN && !does.is_empty() {
                    line(&format!("  {written}"));
                    line(&format!("  {:<GUIDE_COLUMN$}  {does}", ""));
                } else {
                    line(&format!("  {written:<GUIDE_COLUMN$}  {does}"));
                }
            }
        }
    }
    line("");
    line("Example:");
    for text in EXAMPLE.lines() {
        line(&format!("  {text}"));
    }
    guide.trim_end().to_owned()
}
