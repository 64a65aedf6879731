//! FTP: the server's greeting.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// The greeting.
pub static SOURCE: Source = Source {
    application: Application::Ftp,
    carriers: &[Carrier::Stream],
    name: "ftp",
    confidence: 0.6,
    clause: "RFC 959, 4.2 and 5.4",
    read,
};

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    if let Some([b'2', b'2', b'0', b' ' | b'-', text @ ..]) = data.get(..end) {
        facts.say(Attribute::Product, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::told;

    #[test]
    fn a_server_greets_with_its_software() {
        assert_eq!(told(&SOURCE, b"220 VxWorks (5.4.2) FTP server ready\r\n331 x"), ["product=VxWorks (5.4.2) FTP server ready"]);
        assert!(told(&SOURCE, b"220 cut").is_empty());
        assert!(told(&SOURCE, b"USER root\r\n").is_empty());
    }
}
