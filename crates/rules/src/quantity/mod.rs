//! Quantity text -> exact value, with Kubernetes' order and canonical form (pure).
//!
//! Kubernetes stores quantities as fixed-point numbers of nano units. It rounds finer values away from zero.
//! It caps binary quantities at 2^63-1. This code does the same with integers only, and compares nothing as a float.
//! So two quantities that are equal for the API server are equal here.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

const NANO: i128 = 1_000_000_000;
const BINARY_CAP: i128 = i64::MAX as i128 * NANO;

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not `<sign><digits>[.<digits>]<suffix>`.
    #[error("must be a quantity: digits and an optional suffix, such as 500m, 1.5 or 2Gi")]
    Malformed,
    /// The number is valid, but its suffix is not.
    #[error(
        "has an unknown suffix: known are n u m k M G T P E, Ki Mi Gi Ti Pi Ei, and an exponent such as e3"
    )]
    Suffix,
    /// Beyond about 1.7e29, which is more than any machine has.
    #[error("is too large")]
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    DecimalSi,
    DecimalExponent,
    BinarySi,
}

/// An exact resource quantity. Equality and order use the value alone: `0.5` equals `500m`, and `1Gi` is more than `1G`.
/// `Display` writes the canonical form of Kubernetes: `0.5` prints as `500m`, `1024Mi` as `1Gi`.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

impl Quantity {
    /// Zero: an absent resource counts as this.
    pub const ZERO: Self = Self {
        nano: 0,
        format: Format::DecimalSi,
    };

    /// A whole number of units.
    pub const fn units(units: u64) -> Self {
        Self {
            nano: units as i128 * NANO,
            format: Format::DecimalSi,
        }
    }

    /// A number of thousandths.
    pub const fn thousandths(number: u64) -> Self {
        Self {
            nano: number as i128 * (NANO / 1000),
            format: Format::DecimalSi,
        }
    }

    /// A number of `2^power` units, such as bytes: 20 for MiB.
    pub const fn binary(number: u64, power: u32) -> Self {
        Self {
            nano: ((number as i128) << power) * NANO,
            format: Format::BinarySi,
        }
    }

    /// Whether the value is below zero. No resource may be negative.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether the value is zero.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether the value is a whole number of units.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether the value is a whole number of thousandths.
    pub fn is_whole_in_thousandths(self) -> bool {
        self.nano % (NANO / 1000) == 0
    }

    /// The sum. A sum beyond the range counts as the largest amount.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_add(other.nano),
            format: if self.nano == 0 { other.format } else { self.format },
        }
    }

    /// How many whole `unit`s it holds, and whether nothing is left. 0 for a negative value.
    pub fn count(self, unit: Self) -> (u64, bool) {
        if unit.nano <= 0 || self.nano < 0 {
            return (0, false);
        }
        let count = u64::try_from(self.nano / unit.nano).unwrap_or(u64::MAX);
        (count, self.nano % unit.nano == 0)
    }

    /// The canonical form as the type that objects use.
    pub fn to_raw(self) -> RawQuantity {
        RawQuantity(self.to_string())
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl TryFrom<&RawQuantity> for Quantity {
    type Error = QuantityError;

    fn try_from(raw: &RawQuantity) -> Result<Self, Self::Error> {
        raw.0.parse()
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::Malformed);
        }
        let suffix = parse_suffix(suffix)?;
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let point = i64::try_from(whole.len())
            .unwrap_or(i64::MAX)
            .saturating_add(suffix.power_of_ten);
        let unit = NANO << suffix.power_of_two;
        let magnitude = match (magnitude(&digits, point, unit), suffix.format) {
            (Some(value), Format::BinarySi) => value.min(BINARY_CAP),
            (None, Format::BinarySi) => BINARY_CAP,
            (Some(value), _) => value,
            (None, _) => return Err(QuantityError::TooLarge),
        };
        Ok(Self {
            nano: if negative { -magnitude } else { magnitude },
            format: suffix.format,
        })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

struct Suffix {
    format: Format,
    power_of_ten: i64,
    power_of_two: u32,
}

fn parse_suffix(suffix: &str) -> Result<Suffix, QuantityError> {
    let decimal = |power_of_ten| Suffix {
        format: Format::DecimalSi,
        power_of_ten,
        power_of_two: 0,
    };
    let binary = |power_of_two| Suffix {
        format: Format::BinarySi,
        power_of_ten: 0,
        power_of_two,
    };
    Ok(match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => Suffix {
            format: Format::DecimalExponent,
            power_of_ten: exponent(suffix)?,
            power_of_two: 0,
        },
    })
}

/// Parses the `e3` of `1e3`. Exponents out of range are clamped to ones with the same result.
fn exponent(suffix: &str) -> Result<i64, QuantityError> {
    let number = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let (negative, digits) = match number.as_bytes().first() {
        Some(b'-') => (true, &number[1..]),
        Some(b'+') => (false, &number[1..]),
        _ => (false, number),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Suffix);
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    Ok(if negative { -size } else { size })
}

/// `digits` with the decimal point after the first `point` of them, times `unit`, rounded up. `None` if that exceeds an `i128`.
fn magnitude(digits: &[u8], point: i64, unit: i128) -> Option<i128> {
    if digits.iter().all(|d| *d == 0) {
        return Some(0);
    }
    let whole_digits = usize::try_from(point.max(0))
        .unwrap_or(usize::MAX)
        .min(digits.len());
    let (whole, fraction) = digits.split_at(whole_digits);
    let mut value = whole.iter().try_fold(0_i128, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i128::from(*digit))
    })?;
    if value > 0 {
        let missing_zeros = point.saturating_sub(i64::try_from(digits.len()).ok()?).max(0);
        let power = u32::try_from(missing_zeros).ok()?;
        value = value.checked_mul(10_i128.checked_pow(power)?)?;
    }
    // ceil((a + x) / 10) equals ceil((a + ceil(x)) / 10) for whole a, so rounding at each digit is exact.
    let mut part = fraction.iter().rev().fold(0_i128, |rest, digit| {
        div_ceil_10(unit * i128::from(*digit) + rest)
    });
    // A value below 10^-40 of any unit is always rounded up to one.
    for _ in 0..point.min(0).unsigned_abs().min(40) {
        part = div_ceil_10(part);
    }
    value.checked_mul(unit)?.checked_add(part)
}

fn div_ceil_10(value: i128) -> i128 {
    value / 10 + i128::from(value % 10 > 0)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let whole = self.nano / NANO;
        // Kubernetes prints small and fractional values of a binary quantity in decimal, so that nothing is rounded.
        if self.format == Format::BinarySi && self.nano % NANO == 0 && whole.abs() >= 1024 {
            let (number, steps) = shorten(whole, 1024, 6);
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][steps]);
        }
        if self.format == Format::DecimalExponent {
            let (number, steps) = shorten(self.nano, 1000, usize::MAX);
            return match i64::try_from(steps).unwrap_or(i64::MAX) * 3 - 9 {
                0 => write!(f, "{number}"),
                exponent => write!(f, "{number}e{exponent}"),
            };
        }
        let (number, steps) = shorten(self.nano, 1000, 9);
        write!(
            f,
            "{number}{}",
            ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][steps]
        )
    }
}

/// Divides while there is no remainder, at most `limit` times. Returns the quotient and the number of divisions.
fn shorten(mut number: i128, base: i128, limit: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < limit && number % base == 0 {
        number /= base;
        steps += 1;
    }
    (number, steps)
}

#[cfg(test)]
mod tests;
