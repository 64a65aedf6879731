//! SSH: the software that either side names.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The identification line.
pub static SOURCE: Source = Source {
    application: Application::Ssh,
    carriers: &[Carrier::Stream],
    name: "ssh",
    confidence: 0.6,
    clause: "RFC 4253, 4.2",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let line = data.get(..end).unwrap_or_default();
    // Version of the protocol, then the software.
    if let Some(software) = line.strip_prefix(b"SSH-").and_then(|rest| rest.splitn(2, |byte| *byte == b'-').nth(1)) {
        facts.say(Attribute::Product, software);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::told;

    #[test]
    fn either_side_names_its_software() {
        assert_eq!(told(&SOURCE, b"SSH-2.0-dropbear_2019.78\r\n\x00\x00"), ["product=dropbear_2019.78"]);
        assert!(told(&SOURCE, b"SSH-2.0-cut").is_empty());
    }
}
