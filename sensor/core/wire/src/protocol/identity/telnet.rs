//! Telnet: what the server shows before it asks who is there.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The first line of text.
pub static SOURCE: Source = Source {
    application: Application::Telnet,
    carriers: &[Carrier::Stream],
    name: "telnet",
    confidence: 0.6,
    clause: "RFC 854, Telnet command structure",
    read,
};

/// A line of fewer letters is a prompt.
const LETTERS: usize = 4;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    // Only who negotiates shows a banner; what a person types begins otherwise.
    if data.first() != Some(&0xff) {
        return;
    }
    let text = text(data);
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let is_banner = |line: &&[u8]| line.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= LETTERS;
    if let Some(line) = lines.find(is_banner) {
        facts.say(Attribute::Product, line);
    }
}

/// The bytes without commands, their options and sub-negotiations.
fn text(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = data;
    loop {
        rest = match rest {
            [] => return out,
            [0xff, 0xfa, behind @ ..] => {
                let end = behind.windows(2).position(|pair| pair == [0xff, 0xf0]);
                end.and_then(|end| behind.get(end + 2..)).unwrap_or_default()
            }
            [0xff, 0xfb..=0xfe, _, behind @ ..] | [0xff, _, behind @ ..] => behind,
            [0xff] => &[],
            [byte, behind @ ..] => {
                out.push(*byte);
                behind
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn a_server_shows_a_line_between_its_options() {
        let shown = b"\xff\xfb\x01\xff\xfa\x18\x01\xff\xf0\r\n\xff\xfd\x03Moxa NPort 5110\r\nlogin: ";
        assert_eq!(told(&SOURCE, shown), ["product=Moxa NPort 5110"]);
        assert!(told(&SOURCE, b"reboot now\r\n").is_empty());
        survives(&SOURCE, shown);
    }
}
