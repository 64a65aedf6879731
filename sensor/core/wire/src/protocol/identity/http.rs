//! HTTP: the server's software, and the realm that it asks a password for, where controllers put their type.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Fields of a response.
pub static SOURCE: Source = Source {
    application: Application::Http,
    carriers: &[Carrier::Stream],
    name: "http",
    confidence: 0.6,
    clause: "RFC 9110, 10.2.4 and 11.6.1",
    read,
};

/// Lines of a response that are read.
const LINES: usize = 64;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    if !data.starts_with(b"HTTP/1.") {
        return;
    }
    // The last line may be cut; without its end it says nothing.
    let whole = data.iter().rposition(|byte| *byte == b'\n').and_then(|end| data.get(..end)).unwrap_or_default();
    for line in whole.split(|byte| *byte == b'\n').take(LINES) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return;
        }
        if let Some(server) = field(line, b"server:") {
            facts.say(Attribute::Product, server);
        } else if let Some(challenge) = field(line, b"www-authenticate:")
            && let Some(realm) = challenge.split(|byte| *byte == b'"').nth(1)
            && field(challenge.trim_ascii_start(), b"basic realm=").is_some()
        {
            facts.say(Attribute::Name, realm);
        }
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn a_server_names_its_software_and_a_client_is_not_asked() {
        let answer = b"HTTP/1.1 401 No\r\nSERVER: A-B WWW/0.1\r\nWWW-Authenticate: Basic realm=\"1769-L33\"\r\n\r\nServer: no\r\n";
        assert_eq!(told(&SOURCE, answer), ["product=A-B WWW/0.1", "name=1769-L33"]);
        assert!(told(&SOURCE, b"HTTP/1.1 200 OK\r\nServer: cut").is_empty());
        assert!(told(&SOURCE, b"GET / HTTP/1.1\r\nServer: x\r\n\r\n").is_empty());
        survives(&SOURCE, answer);
    }
}
