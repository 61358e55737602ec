//! Pages of reports: no script, nothing from elsewhere, for people with and without eyes. Everything shown is taken from the
//! report's JSON by its pointer, and marked with it: what a reader sees is what a machine reads, and a test compares the two.

use serde_json::Value;

/// How pages look; a page may add to it.
pub const STYLE: &str = include_str!("style.css");

/// A step of 1, 2 or 5 times a power of ten that divides `range` in `parts` at most.
pub fn step(range: f64, parts: f64) -> f64 {
    let rough = (range / parts).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|one| one * power).find(|one| *one >= rough * 0.999).unwrap_or(rough)
}

/// The beginning of a page, up to its content; `style` is added to [`STYLE`].
pub fn head(title: &str, style: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}{style}</style></head>\n\
         <body><main>\n<h1>{title}</h1>\n"
    )
}

/// Its end.
pub const FOOT: &str = "</main></body></html>\n";

/// The report as JSON.
pub struct Values(pub Value);

/// Text for HTML, content or attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `1234567.8` as `1,234,567.8`, `5.0` as `5` unless `tenths`.
fn grouped(number: &str, tenths: bool) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && digit.is_ascii_digit() && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    if !part.is_empty() && (part != "0" || tenths) {
        text.push('.');
        text.push_str(part);
    }
    text
}

impl Values {
    /// The value at a pointer; null where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Elements of the array at a pointer.
    pub fn count(&self, pointer: &str) -> usize {
        self.at(pointer).as_array().map_or(0, Vec::len)
    }

    /// Text, escaped.
    pub fn text(&self, pointer: &str) -> String {
        self.at(pointer).as_str().map(escape).unwrap_or_default()
    }

    /// Whether the value at a pointer is true.
    pub fn is(&self, pointer: &str) -> bool {
        self.at(pointer) == &Value::Bool(true)
    }

    /// `yes` or `no`.
    pub fn yes(&self, pointer: &str) -> &'static str {
        if self.is(pointer) { "yes" } else { "no" }
    }

    /// A count or an id.
    pub fn number(&self, pointer: &str) -> String {
        self.marked(pointer, false).unwrap_or_else(|| "none".to_owned())
    }

    /// Milliseconds that were measured, to a tenth.
    pub fn ms(&self, pointer: &str) -> String {
        self.marked(pointer, true).map_or("never".to_owned(), |marked| format!("{marked}&nbsp;ms"))
    }

    /// A number that was measured, with its unit.
    pub fn with(&self, pointer: &str, unit: &str) -> String {
        if unit == "ms" { self.ms(pointer) } else { format!("{} {unit}", self.number(pointer)).trim_end().to_owned() }
    }

    /// A number that was given, with its unit; hours in words, too.
    pub fn limit(&self, pointer: &str, unit: &str) -> String {
        let hours = self.at(pointer).as_f64().unwrap_or(0.0) / 3_600_000.0;
        let number = self.number(pointer);
        match unit {
            "" => number,
            "ms" if hours >= 1.0 => format!("{number}&nbsp;ms ({hours:.0}&nbsp;h)"),
            unit => format!("{number}&nbsp;{unit}"),
        }
    }

    /// A number that was measured, rounded for readers; the mark has all of it. A dash where there is none.
    pub fn rounded(&self, pointer: &str, digits: usize) -> String {
        let Some(number) = self.at(pointer).as_f64() else { return "&ndash;".to_owned() };
        let shown = grouped(&format!("{number:.digits$}"), true);
        format!("<data data-of=\"{pointer}\" value=\"{}\">{shown}</data>", self.at(pointer))
    }

    fn marked(&self, pointer: &str, tenths: bool) -> Option<String> {
        let number = self.at(pointer).as_number()?.to_string();
        let shown = grouped(&number, tenths && number.contains('.'));
        Some(format!("<data data-of=\"{pointer}\" value=\"{number}\">{shown}</data>"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_grouped_and_marked() {
        for (number, shown) in [
            ("7", "7"),
            ("1234", "1,234"),
            ("-123", "-123"),
            ("-1234", "-1,234"),
            ("1234567.8", "1,234,567.8"),
            ("5.0", "5"),
        ] {
            assert_eq!(grouped(number, false), shown);
        }
        let values = Values(json!({ "a": [{ "b": 1234.0, "c": null, "d": 10_800_000.0 }] }));
        assert_eq!(values.ms("/a/0/b"), "<data data-of=\"/a/0/b\" value=\"1234.0\">1,234.0</data>&nbsp;ms");
        assert!(values.limit("/a/0/d", "ms").ends_with(">10,800,000</data>&nbsp;ms (3&nbsp;h)"));
        assert_eq!((values.ms("/a/0/c").as_str(), values.number("/x").as_str()), ("never", "none"));
    }

    #[test]
    fn steps_are_round() {
        for (range, parts, expected) in
            [(20.0, 4.0, 5.0), (21.0, 4.0, 10.0), (15.0, 12.0, 2.0), (100.0, 12.0, 10.0), (1.0, 4.0, 0.5)]
        {
            assert_eq!(step(range, parts), expected, "{range} in {parts}");
        }
    }

    #[test]
    fn what_is_rounded_keeps_its_value() {
        let values = Values(json!({ "a": 12_345.678, "b": null }));
        assert_eq!(values.rounded("/a", 1), "<data data-of=\"/a\" value=\"12345.678\">12,345.7</data>");
        assert_eq!((values.rounded("/a", 0).contains(">12,346<"), values.rounded("/b", 1).as_str()), (true, "&ndash;"));
    }

    #[test]
    fn what_others_wrote_is_text_and_no_markup() {
        let values = Values(json!({ "output": "<script>alert('x')</script> & \"" }));
        assert_eq!(values.text("/output"), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;");
    }
}
