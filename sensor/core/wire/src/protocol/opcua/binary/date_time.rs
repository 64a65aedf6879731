//! DateTime: 100 nanosecond intervals since 1601-01-01 (OPC 10000-6, 5.2.2.5), and its text.

use std::fmt::Write;

/// Intervals between 1601-01-01 and 1970-01-01.
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const NANOSECONDS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Nanoseconds since 1970, saturating at what 64 bits hold (the year 2262; the specification's largest time is 9999). `None`: zero or less, which
/// says that there is no time.
pub fn from_ticks(ticks: i64) -> Option<i64> {
    (ticks > 0).then(|| ticks.saturating_sub(EPOCH_TICKS).saturating_mul(100))
}

/// Text of a time in nanoseconds since 1970, in UTC: `2026-11-24T12:40:56.123456Z`, the fraction without the zeros at its end.
pub fn write_text(nanoseconds: i64, out: &mut dyn Write) {
    let seconds = nanoseconds.div_euclid(NANOSECONDS);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let clock = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let mut fraction = nanoseconds.rem_euclid(NANOSECONDS);
    if fraction != 0 {
        let mut digits = 9_usize;
        while fraction % 10 == 0 {
            fraction /= 10;
            digits = digits.saturating_sub(1);
        }
        let _ = write!(out, ".{fraction:0digits$}");
    }
    let _ = out.write_char('Z');
}

/// Year, month and day of a day since 1970 in the Gregorian calendar. Years are counted from March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
