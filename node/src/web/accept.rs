//! Which form of an answer the caller takes (RFC 9110, 12.5.1).

use http::{HeaderMap, header};
use kho_proto::error::{Code, Refusal, excerpt};

/// Names in a list of forms that are looked at, at most: a header has 16 KiB.
const RANGES_MAX: usize = 64;

/// The first of `forms` (media types, the usual one first) that the caller takes; of several the one it prefers.
pub(super) fn choose(headers: &HeaderMap, forms: &[&'static str]) -> Result<&'static str, Refusal> {
    let asked: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    let asked = asked.join(",");
    if asked.trim().is_empty() {
        return forms.first().copied().ok_or_else(|| refused(forms, ""));
    }
    let mut best: Option<(&'static str, u16)> = None;
    for form in forms {
        let weight = weight(&asked, form);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((form, weight));
        }
    }
    best.map(|(form, _)| form).ok_or_else(|| refused(forms, &asked))
}

fn refused(forms: &[&str], asked: &str) -> Refusal {
    Refusal::new(Code::HttpNotAcceptable, "this resource has no form that the caller accepts")
        .expected_found(forms.join(" or "), excerpt(asked))
}

/// Of the most specific range that names the form, in thousandths; 0: not taken.
fn weight(asked: &str, form: &str) -> u16 {
    let kind = form.split('/').next().unwrap_or_default();
    let mut found = (0, 0);
    for range in asked.split(',').take(RANGES_MAX) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specific = match name.as_str() {
            name if name == form => 3,
            name if name.strip_suffix("/*").is_some_and(|name| name == kind) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = quality.map_or(1000, thousandths);
        found = found.max((specific, weight));
    }
    found.1
}

fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0) as u16,
        // no quality of the grammar: as if there were none
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const FORMS: [&str; 2] = ["application/json", "text/plain"];

    fn chosen(accept: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        choose(&headers, &FORMS).ok()
    }

    #[test]
    fn the_preferred_form_and_else_the_first() {
        assert_eq!(choose(&HeaderMap::new(), &FORMS).unwrap(), FORMS[0]);
        let cases = [
            ("", Some(FORMS[0])),
            ("*/*", Some(FORMS[0])),
            ("text/plain", Some(FORMS[1])),
            ("text/*;q=0.9, application/json;q=0.1", Some(FORMS[1])),
            ("text/plain;q=0.5, application/json", Some(FORMS[0])),
            ("application/json;q=0, */*", Some(FORMS[1])),
            ("TEXT/PLAIN", Some(FORMS[1])),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/jsonp", None),
        ];
        for (accept, expect) in cases {
            assert_eq!(chosen(accept), expect, "{accept}");
        }
    }
}
