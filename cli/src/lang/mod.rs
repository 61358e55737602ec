//! What people read, in English or Vietnamese. Codes, field names, JSON and CSV are the same in every language.
//!
//! A text that lacks a language does not compile; that placeholders agree is a test's to say.

mod codes;
#[macro_use]
mod texts;
mod operating;
mod sending;

use std::fmt::Display;
use std::sync::OnceLock;

use kho_proto::error::Code;

pub use codes::sentence;
pub use operating::*;
pub use sending::*;
pub use texts::*;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// Tiếng Việt.
    Vi,
    /// English.
    En,
}

static CURRENT: OnceLock<Lang> = OnceLock::new();

/// Sets the language of this process, once: what was asked for, else the locale's.
pub fn choose(asked: Option<Lang>) {
    CURRENT.get_or_init(|| asked.unwrap_or_else(|| of_locale(|name| std::env::var(name).ok())));
}

/// The language that arguments ask for which can't be read as a whole.
pub fn named(arguments: impl Iterator<Item = String>) -> Option<Lang> {
    let arguments: Vec<String> = arguments.collect();
    let behind = arguments.windows(2).find(|pair| pair[0] == "--lang").map(|pair| pair[1].clone());
    let named = behind.or_else(|| arguments.iter().find_map(|one| one.strip_prefix("--lang=").map(str::to_owned)))?;
    <Lang as clap::ValueEnum>::from_str(&named, false).ok()
}

/// The language of this process; English before one was chosen.
pub fn current() -> Lang {
    CURRENT.get().copied().unwrap_or(Lang::En)
}

/// The first of the variables that says something decides (POSIX, Internationalization Variables).
fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Lang {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let locale =
        names.into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty())).unwrap_or_default();
    let language = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
    if language.eq_ignore_ascii_case("vi") { Lang::Vi } else { Lang::En }
}

/// A text in both languages. `{name}` is a place for a value.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    en: &'static str,
    vi: &'static str,
}

impl Text {
    /// In a language.
    pub fn of(self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.en,
            Lang::Vi => self.vi,
        }
    }

    /// In the language of this process.
    pub fn get(self) -> &'static str {
        self.of(current())
    }

    /// With values in its places.
    pub fn with(self, lang: Lang, values: &[(&str, &dyn Display)]) -> String {
        let mut text = self.of(lang).to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), &value.to_string());
        }
        text
    }
}

/// A number of records.
pub fn records(lang: Lang, count: u64) -> String {
    counted(lang, count, RECORD_ONE, RECORD_MANY)
}

/// A number of entries of the catalogue.
pub fn entries(lang: Lang, count: u64) -> String {
    counted(lang, count, ENTRY_ONE, ENTRY_MANY)
}

fn counted(lang: Lang, count: u64, one: Text, many: Text) -> String {
    if count == 1 { one.of(lang).to_owned() } else { many.with(lang, &[("count", &count)]) }
}

/// Why something was refused or waits: its code, and what it means. What the node said is kept, since it has the values.
pub fn why(lang: Lang, code: &str, said: &str) -> String {
    match (lang, Code::parse(code)) {
        (Lang::Vi, Some(known)) => format!("[{code}] {} ({said})", sentence(known)),
        _ => format!("[{code}] {said}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (set, lang) in [
            (&[("LANG", "vi_VN.UTF-8")][..], Lang::Vi),
            (&[("LANG", "vi_VN.UTF-8"), ("LC_ALL", "C")], Lang::En),
            (&[("LANG", "vi_VN.UTF-8"), ("LC_ALL", "")], Lang::Vi),
            (&[("LANG", "en_US.UTF-8"), ("LC_MESSAGES", "vi")], Lang::Vi),
            (&[("LANG", "vie")], Lang::En),
            (&[], Lang::En),
        ] {
            let set: BTreeMap<_, _> = set.iter().copied().collect();
            assert_eq!(of_locale(|name| set.get(name).map(|value| (*value).to_owned())), lang, "{set:?}");
        }
    }

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect()
    }

    #[test]
    fn every_text_is_in_both_languages_with_the_same_places() {
        for (name, text) in texts::ALL.iter().chain(operating::ALL).chain(sending::ALL) {
            assert!(!text.en.trim().is_empty() && !text.vi.trim().is_empty(), "{name}");
            assert_eq!(places(text.en), places(text.vi), "{name}");
        }
    }

    #[test]
    fn every_code_has_a_vietnamese_sentence_of_its_own() {
        let sentences: BTreeSet<_> = Code::ALL.iter().map(|code| sentence(*code)).collect();
        assert_eq!(sentences.len(), Code::ALL.len());
        for sentence in sentences {
            // precomposed letters, as people type and search them; nothing in Vietnamese goes without a mark for long
            assert!(!sentence.is_ascii(), "{sentence}");
            assert!(!sentence.chars().any(|letter| ('\u{300}'..='\u{36f}').contains(&letter)), "{sentence}");
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| records(Lang::En, count)), ["0 records", "1 record", "2 records"]);
        assert_eq!(entries(Lang::En, 1), "1 entry");
        assert_eq!(records(Lang::Vi, 1), "1 bản ghi");
    }

    #[test]
    fn a_reason_is_in_the_language_and_keeps_what_the_node_said() {
        assert_eq!(why(Lang::En, "no-leader", "asked 3 times"), "[no-leader] asked 3 times");
        let vi = why(Lang::Vi, "no-leader", "asked 3 times");
        assert!(
            vi.starts_with("[no-leader] ") && vi.contains(sentence(Code::NoLeader)) && vi.contains("asked 3"),
            "{vi}"
        );
        assert_eq!(why(Lang::Vi, "of-a-later-version", "x"), "[of-a-later-version] x");
    }

    #[test]
    fn values_take_their_places() {
        let text = REFUSED.with(Lang::Vi, &[("count", &2), ("code", &"report-invalid")]);
        assert!(text.contains('2') && text.contains("report-invalid") && !text.contains('{'), "{text}");
    }
}
