//! Who made a network card, by the prefixes of hardware addresses that the IEEE assigns: to a maker 24, 28 or 36 bits (its registries MA-L, MA-M
//! and MA-S, and CID and IAB before them).

// `PREFIXES`: each prefix in the highest bits, and how many these are, in rising order. `PLACES`: the number of its maker's name. `ENDS`: where
// that name ends in `NAMES`; it begins where the one before ends.
include!(concat!(env!("OUT_DIR"), "/makers.rs"));

/// Lengths of prefixes in bits, the longest first: whoever was assigned a part of a block is told before the block's owner.
const BITS: [u64; 3] = [36, 28, 24];

/// The maker of the card with this hardware address, as the registries name it; None for a prefix that is not assigned.
pub fn maker(mac: [u8; 6]) -> Option<&'static str> {
    let [a, b, c, d, e, f] = mac;
    let address = u64::from_be_bytes([a, b, c, d, e, f, 0, 0]);
    let find = |bits: u64| PREFIXES.binary_search(&(address >> (64 - bits) << (64 - bits) | bits)).ok();
    let place = *PLACES.get(BITS.into_iter().find_map(find)?)? as usize;
    let begin = place.checked_sub(1).and_then(|before| ENDS.get(before)).map_or(0, |begin| *begin);
    NAMES.get(begin as usize..*ENDS.get(place)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_the_registries_names_its_maker() {
        let mut count = 0;
        for record in oui_data::OUI_ENTRIES.values() {
            let digits = format!("{:0<12}", record.oui());
            let mac = [0, 2, 4, 6, 8, 10].map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
            let expected = oui_data::lookup(&digits).map(|known| known.organization());
            assert_eq!((maker(mac), expected.is_some()), (expected, true), "{digits}");
            count += 1;
        }
        assert!(count > 50_000, "{count}");
    }

    #[test]
    fn a_part_of_a_block_belongs_to_whom_it_was_assigned_to() {
        assert_eq!(maker([0, 0, 0, 1, 2, 3]), Some("XEROX CORPORATION"));
        let [block, smaller, smallest] =
            [[0x1c, 0x88, 0x79, 0, 0, 0], [0x1c, 0x88, 0x79, 0x20, 0, 0], [0x8c, 0x1f, 0x64, 0xaf, 0xa0, 0]];
        assert_eq!(maker(smaller), Some("Airsmart System Co.,Ltd"));
        assert_ne!(maker(block), maker(smaller));
        assert_eq!(maker(smallest), Some("DATA ELECTRONIC DEVICES, INC"));
        assert_eq!(maker([2, 0, 0, 0, 0, 1]), None);
    }
}
