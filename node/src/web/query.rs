//! The query of a request, read strictly: a name that is not known or stands there twice is refused, since a misspelt filter
//! would be no filter.

use std::collections::BTreeMap;
use std::str::FromStr;

use kho_proto::error::{Code, Refusal, excerpt};
use percent_encoding::percent_decode_str;

/// Names with their texts.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

fn malformed(message: String, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, message).expected_found(expected, found)
}

/// As forms write it: `+` is a space.
fn text(part: &str) -> Result<String, Refusal> {
    let spaced = part.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| malformed("the query is not UTF-8".to_owned(), "UTF-8", excerpt(part)))?;
    Ok(decoded.into_owned())
}

impl Query {
    /// Reads what stands behind the `?`. `known` are the names that the operation has.
    pub fn of(query: Option<&str>, known: &[&'static str]) -> Result<Self, Refusal> {
        let mut read = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (text(name)?, text(value)?);
            if !known.contains(&name.as_str()) {
                let expected = if known.is_empty() { "no query".to_owned() } else { known.join(", ") };
                return Err(malformed("the query has an unknown name".to_owned(), expected, excerpt(&name)));
            }
            // an empty series is that of records without a subject
            if value.is_empty() && name != "series" {
                return Err(malformed(format!("{name} of the query is empty"), "a value, or no such name", "none"));
            }
            if read.contains_key(&name) {
                return Err(malformed(format!("{name} of the query stands there twice"), "each name once", "two"));
            }
            read.insert(name, value);
        }
        Ok(Self(read))
    }

    /// The text; none: empty, which in messages means the same.
    pub fn text(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// The text, if there is one.
    pub fn given(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// A number from 1 on; none: 0.
    pub fn number(&self, name: &str) -> Result<u32, Refusal> {
        let Some(text) = self.0.get(name) else { return Ok(0) };
        let number = u32::from_str(text).ok().filter(|number| *number > 0 && text.starts_with(|c: char| c != '+'));
        number.ok_or_else(|| malformed(format!("{name} of the query is no number"), "1 or more", excerpt(text)))
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.0.get(name).map(String::as_str) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(malformed(format!("{name} of the query is neither"), "true or false", excerpt(other))),
        }
    }

    /// One of some words; none: the first.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, Refusal> {
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let found = match self.0.get(name) {
            None => words.first(),
            Some(text) => words.iter().find(|(word, _)| word == text),
        };
        found.map(|(_, value)| *value).ok_or_else(|| {
            malformed(format!("{name} of the query is no such word"), expected(), excerpt(&self.text(name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["unit", "series", "page_size", "stale"];

    fn refused(query: &str) -> String {
        Query::of(Some(query), &KNOWN).expect_err(query).message
    }

    #[test]
    fn reads_names_once_and_decodes_them() {
        let query = Query::of(Some("unit=BYT&series=s%E1%BB%91t+xu%E1%BA%A5t&page_size=7&stale=true"), &KNOWN).unwrap();
        assert_eq!((query.text("unit").as_str(), query.text("series").as_str()), ("BYT", "sốt xuất"));
        assert_eq!((query.number("page_size").unwrap(), query.flag("stale").unwrap()), (7, true));
        let query = Query::of(Some("series="), &KNOWN).unwrap();
        assert_eq!((query.given("series"), query.given("unit")), (Some(String::new()), None));
    }

    #[test]
    fn refuses_what_could_mean_something_else() {
        assert!(refused("unti=BYT").contains("unknown"));
        assert!(refused("unit=BYT&unit=BCA").contains("twice"));
        assert!(refused("unit=").contains("empty"));
        assert!(refused("series=%ff").contains("UTF-8"));
        for number in ["0", "-1", "+1", "4294967296", "1.0", "x"] {
            let query = Query::of(Some(&format!("page_size={}", number.replace('+', "%2B"))), &KNOWN).unwrap();
            assert!(query.number("page_size").is_err(), "{number}");
        }
        assert!(Query::of(Some("stale=1"), &KNOWN).unwrap().flag("stale").is_err());
    }
}
