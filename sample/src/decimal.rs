//! Fixed-point numbers as text: exactly `scale` digits after the point, no leading zeros, no plus, no -0.

/// `value` in units of 10^-scale.
pub(crate) fn format(value: i64, scale: u32) -> String {
    let digits = scale as usize;
    let text = format!("{:0width$}", value.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let sign = if value < 0 { "-" } else { "" };
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The value in units of 10^-scale, if `text` is in the one form that `format` writes.
pub(crate) fn parse(text: &str, scale: u32) -> Option<i64> {
    let value = text.replacen('.', "", 1).parse().ok()?;
    (format(value, scale) == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_only() {
        for (value, scale, text) in
            [(0, 2, "0.00"), (-5, 2, "-0.05"), (12_345, 2, "123.45"), (7, 0, "7"), (-1_000, 3, "-1.000")]
        {
            assert_eq!(format(value, scale), text);
            assert_eq!(parse(text, scale), Some(value));
        }
        for text in
            ["", ".", "1", "1.2", "1.234", "01.00", "+1.00", "-0.00", "1,00", "1.00 ", "9e3", "99999999999999999999.00"]
        {
            assert_eq!(parse(text, 2), None, "{text}");
        }
    }
}
