//! How many values a JSON text has, before they are built: in memory one costs a hundred times the bytes of its text.

/// Values of a report's figures, at most.
pub const VALUES_MAX: usize = 200_000;

/// At least as many as the text has values: each but the first stands behind a comma, or is the first of a list or an object.
/// What is no JSON is counted as if it were.
pub fn values(json: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b',' | b'[' | b'{') => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_would_be_built() {
        for (json, expected) in [
            ("1", 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a":[{"b":1},{}],"c":"d,[{"}"#, 7),
            (r#"["\\",","]"#, 3),
            (r#"["\"[[[[,"]"#, 2),
        ] {
            assert_eq!(values(json.as_bytes()), expected, "{json}");
        }
    }
}
