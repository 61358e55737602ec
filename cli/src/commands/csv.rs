//! Comma-separated values (RFC 4180) on standard output: one line at a time, whatever stands in a cell.

use std::io;

use serde_json::Value;

/// Cells as a line, without its end.
pub fn line<C: AsRef<[u8]>>(cells: impl IntoIterator<Item = C>) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(cells)?;
    let mut bytes = writer.into_inner().map_err(|error| error.into_error())?;
    bytes.pop();
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// These fields of a JSON object as a line: nothing for null, spaces between the members of an array.
pub fn object(fields: &[&str], object: &Value) -> io::Result<String> {
    line(fields.iter().map(|field| match &object[*field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_cell_may_hold_anything() {
        assert_eq!(line(["a", "b c", ""]).unwrap(), "a,b c,");
        assert_eq!(
            line(["bệnh viện, 1", "he said \"no\"", "two\nlines"]).unwrap(),
            "\"bệnh viện, 1\",\"he said \"\"no\"\"\",\"two\nlines\""
        );
    }
}
