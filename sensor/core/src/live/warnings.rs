//! Lines that are to be said: those that nobody has taken yet, and no more of them than somebody would read.

use std::collections::VecDeque;

/// Lines that wait to be taken; beyond these the oldest goes. What they tell of is counted in table `sensor` too.
const LINES: usize = 200;

/// Lines that wait to be taken.
#[derive(Default)]
pub struct Warnings {
    lines: VecDeque<String>,
    /// Lines that are said once only: few, as each names an interface.
    once: Vec<String>,
}

impl Warnings {
    /// Adds a line.
    pub fn add(&mut self, line: String) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Adds a line, unless it was added so before.
    pub fn add_once(&mut self, line: String) {
        if !self.once.contains(&line) {
            self.once.push(line.clone());
            self.add(line);
        }
    }

    /// Lines since the last look, oldest first.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_said_for_as_long_as_somebody_takes_them() {
        let mut warnings = Warnings::default();
        for number in 0..3 * LINES {
            warnings.add(number.to_string());
            assert_eq!(warnings.take(), [number.to_string()]);
        }
        assert!(warnings.take().is_empty());
    }

    #[test]
    fn of_lines_that_nobody_takes_the_last_ones_are_kept() {
        let mut warnings = Warnings::default();
        (0..3 * LINES).for_each(|number| warnings.add(number.to_string()));
        let kept: Vec<_> = (2 * LINES..3 * LINES).map(|number| number.to_string()).collect();
        assert_eq!(warnings.take(), kept);
    }

    #[test]
    fn a_line_that_is_said_once_is_not_said_again_when_it_was_taken() {
        let mut warnings = Warnings::default();
        for _ in 0..3 {
            warnings.add_once("clock".to_owned());
        }
        assert_eq!(warnings.take(), ["clock"]);
        warnings.add_once("clock".to_owned());
        assert!(warnings.take().is_empty());
    }
}
