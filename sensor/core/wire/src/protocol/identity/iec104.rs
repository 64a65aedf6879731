//! IEC 60870-5-104: which station controls.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Who starts the transfer, commands and interrogates, and who answers and reports.
pub static SOURCE: Source = Source {
    application: Application::Iec104,
    carriers: &[Carrier::Stream],
    name: "iec104 unit",
    confidence: 0.8,
    clause: "IEC 60870-5-104, 5.3 (STARTDT); IEC 60870-5-101, 7.2.1.1 (types by direction) and 7.2.3 (causes)",
    read,
};

/// Units that are looked at.
const UNITS: usize = 64;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let mut rest = data;
    for _ in 0..UNITS {
        let [0x68, length @ 4..=253, unit @ ..] = rest else { return };
        let Some(role) = role(unit) else {
            rest = unit.get(usize::from(*length)..).unwrap_or_default();
            continue;
        };
        facts.say(Attribute::Role, role.as_bytes());
        return;
    }
}

fn role(unit: &[u8]) -> Option<&'static str> {
    const CONTROLS: Option<&str> = Some("IEC 104 controlling station");
    const REPORTS: Option<&str> = Some("IEC 104 controlled station");
    match unit {
        [0x07, 0, 0, 0, ..] => CONTROLS,
        [0x0b, 0, 0, 0, ..] => REPORTS,
        // Format I: type, qualifier, cause. Process information goes one way; commands are activated and deactivated the other way.
        [first, _, _, _, kind, _, cause, ..] if first & 1 == 0 => match (kind, cause & 0x3f) {
            (1..=41 | 70, _) => REPORTS,
            (45..=64 | 100..=107, 6 | 8) => CONTROLS,
            (45..=64 | 100..=107, 7 | 9 | 10) => REPORTS,
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    #[test]
    fn who_starts_and_commands_controls_and_who_confirms_and_reports_does_not() {
        let controls = ["role=IEC 104 controlling station"];
        let reports = ["role=IEC 104 controlled station"];
        assert_eq!(told(&SOURCE, b"\x68\x04\x07\x00\x00\x00"), controls);
        assert_eq!(told(&SOURCE, b"\x68\x04\x0b\x00\x00\x00"), reports);
        // Interrogation: activated by one, confirmed by the other; a single point that changed.
        let command = b"\x68\x0e\x00\x00\x02\x00\x64\x01\x06\x00\x0a\x00\x00\x00\x00\x14";
        assert_eq!(told(&SOURCE, command), controls);
        assert_eq!(told(&SOURCE, b"\x68\x0e\x00\x00\x02\x00\x64\x01\x07\x00\x0a\x00\x00\x00\x00\x14"), reports);
        assert_eq!(told(&SOURCE, b"\x68\x04\x01\x00\x06\x00\x68\x0e\x00\x00\x02\x00\x01\x01\x03\x00\x0a\x00\x01\x00\x00\x01"), reports);
        // Test frames and receipts go both ways.
        assert!(told(&SOURCE, b"\x68\x04\x43\x00\x00\x00\x68\x04\x01\x00\x06\x00").is_empty());
        survives(&SOURCE, command);
    }
}
