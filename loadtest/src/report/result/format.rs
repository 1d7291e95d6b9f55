//! Figures as people read them.

use super::metric::Unit;

/// A figure with its unit: `12.3 ms`, `583,000/s`, `1.2 GiB`.
pub fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time => time_us(value),
        Unit::Count => count(value.round() as u64),
        Unit::Rate => format!("{}/s", count(value.round() as u64)),
        Unit::Bytes => bytes(value as u64),
        Unit::Cores => format!("{value:.2} cores"),
        Unit::Percent => format!("{}%", significant(value)),
    }
}

/// A time given in microseconds, with the unit that suits it.
pub fn time_us(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{} us", significant(us)),
        us if us < 1e6 => format!("{} ms", significant(us / 1e3)),
        us => format!("{} s", significant(us / 1e6)),
    }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// A size with the unit that suits it.
pub fn bytes(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let size = bytes as f64;
    match size {
        size if size < KIB => format!("{bytes} B"),
        size if size < KIB.powi(2) => format!("{} KiB", significant(size / KIB)),
        size if size < KIB.powi(3) => format!("{} MiB", significant(size / KIB.powi(2))),
        size => format!("{} GiB", significant(size / KIB.powi(3))),
    }
}

/// Three digits that count, no more: the fourth is noise.
fn significant(value: f64) -> String {
    let rounded = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if rounded.contains('.') { rounded.trim_end_matches('0').trim_end_matches('.').to_owned() } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_the_unit_that_suits_them() {
        assert_eq!([0.0, 850.0, 12_340.0, 1_500_000.0].map(time_us), ["0 us", "850 us", "12.3 ms", "1.5 s"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([512, 2_048, 1 << 30].map(bytes), ["512 B", "2 KiB", "1 GiB"]);
        assert_eq!(quantity(583_000.4, Unit::Rate), "583,000/s");
        assert_eq!(quantity(0.05, Unit::Percent), "0.05%");
        assert_eq!(quantity(120.0, Unit::Percent), "120%");
    }
}
