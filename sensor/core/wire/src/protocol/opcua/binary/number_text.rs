//! Texts of numbers as the standard library writes them, most of them without its general way: values of points are short decimals.

use std::fmt::{Result, Write};

/// Bounds below which a Double of six places has at most fifteen digits, and a Float of four or two places at most six: so many digits no other
/// decimal of as many shares.
const DOUBLE_BOUND: f64 = 1e9;
const FLOAT_BOUNDS: [f64; 2] = [1e2, 1e4];
/// Below, the debug form writes an exponent.
const LEAST: f64 = 1e-4;

/// Writes an integer.
pub fn write_integer(is_negative: bool, mut magnitude: u64, out: &mut dyn Write) -> Result {
    let mut room = [b'0'; 21];
    let mut places = room.iter_mut().rev();
    for place in places.by_ref() {
        *place = digit(&mut magnitude);
        if magnitude == 0 {
            break;
        }
    }
    finish(is_negative, places.len(), &mut room, out)
}

/// Writes a Double as its debug form, which keeps very large and very small numbers short.
pub fn write_double(value: f64, out: &mut dyn Write) -> Result {
    match decimal::<6>(value, DOUBLE_BOUND, |found| found == value.abs()) {
        Some(found) => write_decimal::<6>(value < 0.0, found, out),
        None => write!(out, "{value:?}"),
    }
}

/// The same of a Float.
pub fn write_float(value: f32, out: &mut dyn Write) -> Result {
    let is_same = |found: f64| found as f32 == value.abs();
    let [first, second] = FLOAT_BOUNDS;
    if let Some(found) = decimal::<4>(f64::from(value), first, is_same) {
        write_decimal::<4>(value < 0.0, found, out)
    } else if let Some(found) = decimal::<2>(f64::from(value), second, is_same) {
        write_decimal::<2>(value < 0.0, found, out)
    } else {
        write!(out, "{value:?}")
    }
}

/// The number as an integer of so many decimal places, if it is one below the bound: it then has so few digits that no shorter decimal, and no
/// other one as short, is read as the same number.
fn decimal<const PLACES: u32>(value: f64, bound: f64, is_same: impl Fn(f64) -> bool) -> Option<u64> {
    let magnitude = value.abs();
    if !(magnitude >= LEAST && magnitude < bound) {
        return None;
    }
    let scale = const { 10_u64.pow(PLACES) } as f64;
    let scaled = (magnitude * scale + 0.5) as u64;
    is_same(scaled as f64 / scale).then_some(scaled)
}

fn write_decimal<const PLACES: u32>(is_negative: bool, scaled: u64, out: &mut dyn Write) -> Result {
    let scale = const { 10_u64.pow(PLACES) };
    let (mut whole, mut fraction, mut places) = (scaled / scale, scaled % scale, PLACES);
    while places > 1 && fraction.is_multiple_of(10) {
        fraction /= 10;
        places -= 1;
    }
    let mut room = [b'0'; 21];
    let mut left = room.iter_mut().rev();
    for place in left.by_ref().take(places as usize) {
        *place = digit(&mut fraction);
    }
    if let Some(point) = left.next() {
        *point = b'.';
    }
    for place in left.by_ref() {
        *place = digit(&mut whole);
        if whole == 0 {
            break;
        }
    }
    finish(is_negative, left.len(), &mut room, out)
}

/// Takes off the last digit.
fn digit(number: &mut u64) -> u8 {
    let digit = (*number % 10) as u8;
    *number /= 10;
    b'0' + digit
}

/// Writes what stands from `start` on, behind its sign.
fn finish(is_negative: bool, start: usize, room: &mut [u8; 21], out: &mut dyn Write) -> Result {
    let mut start = start;
    if is_negative && let Some(sign) = start.checked_sub(1).and_then(|at| room.get_mut(at)) {
        *sign = b'-';
        start -= 1;
    }
    out.write_str(room.get(start..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut text = String::new();
        write_double(value, &mut text).unwrap();
        text
    }

    fn float(value: f32) -> String {
        let mut text = String::new();
        write_float(value, &mut text).unwrap();
        text
    }

    fn integer(value: i64) -> String {
        let mut text = String::new();
        write_integer(value < 0, value.unsigned_abs(), &mut text).unwrap();
        text
    }

    #[test]
    fn numbers_at_the_bounds_are_written_as_the_standard_library_does() {
        let doubles = [0.0, -0.0, 1.0, -1.5, 1e-4, 9.9e-5, 0.000_123, 999_999_999.999_999, 1e9, 0.1 + 0.2, f64::NAN, f64::MIN];
        for value in doubles {
            assert_eq!(double(value), format!("{value:?}"));
            assert_eq!(float(value as f32), format!("{:?}", value as f32));
        }
        for value in [0, 7, -10, i64::MAX, i64::MIN] {
            assert_eq!(integer(value), value.to_string());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

        #[test]
        fn any_number_is_written_as_the_standard_library_does(
            bits in any::<u64>(), whole in -2_000_000_i64..2_000_000, places in 0..9_i32, near in -4.0..4.0_f64,
        ) {
            let short = whole as f64 / 10_f64.powi(places);
            for value in [f64::from_bits(bits), short, near, f64::from_bits(short.to_bits().wrapping_add(1)), short * 1e5] {
                prop_assert_eq!(double(value), format!("{value:?}"));
            }
            let single = f32::from_bits(bits as u32);
            for value in [single, short as f32, near as f32, f32::from_bits((short as f32).to_bits().wrapping_add(1))] {
                prop_assert_eq!(float(value), format!("{value:?}"));
            }
            prop_assert_eq!(integer(bits.cast_signed()), bits.cast_signed().to_string());
        }
    }
}
