//! Numbers of figures: integers in units of 10^-scale.

/// Digits after the point, at most.
pub const SCALE_MAX: u8 = 9;

/// 10^scale.
pub fn one(scale: u8) -> i128 {
    10_i128.pow(u32::from(scale.min(SCALE_MAX)))
}

/// The value of a text with exactly `scale` digits after the point: no plus, no leading zeros, no `-0`.
pub fn parse(text: &str, scale: u8) -> Option<i128> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match scale {
        0 => (unsigned, ""),
        _ => unsigned.split_once('.')?,
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = digits(whole) && digits(fraction) && fraction.len() == usize::from(scale);
    let no_leading_zero = whole == "0" || !whole.is_empty() && !whole.starts_with('0');
    // 18 digits and 9 behind the point are far below 10^38
    if !well_formed || !no_leading_zero || whole.len() > 18 {
        return None;
    }
    let value = whole.parse::<i128>().ok()? * one(scale) + fraction.parse::<i128>().unwrap_or(0);
    match unsigned.len() == text.len() {
        true => Some(value),
        false if value == 0 => None,
        false => Some(-value),
    }
}

/// As it is written.
pub fn format(value: i128, scale: u8) -> String {
    let (sign, value, one) = (if value < 0 { "-" } else { "" }, value.unsigned_abs(), one(scale).unsigned_abs());
    match scale {
        0 => format!("{sign}{value}"),
        _ => format!("{sign}{}.{:0width$}", value / one, value % one, width = usize::from(scale)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_only() {
        for (value, scale, text) in [
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (7, 0, "7"),
            (-1_000, 3, "-1.000"),
            (10, 1, "1.0"),
        ] {
            assert_eq!((format(value, scale).as_str(), parse(text, scale)), (text, Some(value)));
        }
        for text in ["", ".", "1", "1.2", "1.234", "01.00", "+1.00", "-0.00", "1,00", "1.00 ", "9e3", "--1.00", "１.00"]
        {
            assert_eq!(parse(text, 2), None, "{text}");
        }
        assert_eq!(parse("9999999999999999999.00", 2), None);
    }
}
