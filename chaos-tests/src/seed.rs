//! What a skeptic gives to a run: numbers from the environment.

use anyhow::{Context, Result};

/// The number in an environment variable, decimal or `0x...`; `default` where there is none.
pub fn number(variable: &str, default: u64) -> Result<u64> {
    let Ok(text) = std::env::var(variable) else { return Ok(default) };
    parse(&text).with_context(|| format!("{variable}: expected a number, found {text:?}"))
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimal_and_hexadecimal() {
        assert_eq!(super::parse("42"), Some(42));
        assert_eq!(super::parse("0x2a"), Some(42));
        assert_eq!(super::parse("forty-two"), None);
    }
}
