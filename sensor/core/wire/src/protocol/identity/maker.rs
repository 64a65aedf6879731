//! Makers by the numbers that fieldbus organisations assign: those met most; other numbers say nothing here.

/// Vendor identifier of CIP (assigned by ODVA; CIP Networks Library volume 1, 5A-2.2.1).
pub fn cip(identifier: u16) -> Option<&'static str> {
    Some(match identifier {
        1 => "Rockwell Automation",
        40 => "WAGO",
        47 => "Omron",
        90 => "HMS Industrial Networks",
        108 => "Beckhoff Automation",
        243 => "Schneider Automation",
        283 => "Hilscher",
        _ => return None,
    })
}

/// Vendor identifier of BACnet (assigned by ASHRAE; ANSI/ASHRAE 135, clause 23).
pub fn bacnet(identifier: u32) -> Option<&'static str> {
    Some(match identifier {
        5 => "Johnson Controls",
        7 => "Siemens",
        8 => "Delta Controls",
        10 => "Schneider Electric",
        17 => "Honeywell",
        35 => "Reliable Controls",
        36 => "Tridium",
        260 => "BACnet Stack at SourceForge",
        _ => return None,
    })
}

/// Vendor identifier of PROFINET (assigned by PROFIBUS and PROFINET International; IEC 61158-6-10, 4.3.1.4.2).
pub fn profinet(identifier: u16) -> Option<&'static str> {
    (identifier == 0x002a).then_some("Siemens")
}

/// Private enterprise number of an SNMP object identifier (IANA; RFC 2578, 4).
pub fn enterprise(number: u32) -> Option<&'static str> {
    Some(match number {
        9 => "Cisco",
        11 => "Hewlett-Packard",
        43 => "3Com",
        95 => "Rockwell Automation",
        248 => "Hirschmann",
        311 => "Microsoft",
        318 => "APC",
        2636 => "Juniper Networks",
        3833 => "Schneider Electric",
        4346 => "Phoenix Contact",
        8072 => "Net-SNMP",
        8691 => "Moxa",
        13576 => "WAGO",
        _ => return None,
    })
}
