//! What people read, in English or Vietnamese. Codes, field names, JSON and CSV are the same in every language.
//!
//! A text that lacks a language does not compile; that placeholders agree is a test's to say.

mod codes;
mod texts;

use std::fmt::Display;
use std::sync::OnceLock;

pub use codes::sentence;
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kho_proto::error::Code;

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
        for (name, text) in ALL {
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
    fn values_take_their_places() {
        let text = REFUSED.with(Lang::Vi, &[("count", &2), ("code", &"report-invalid")]);
        assert!(text.contains('2') && text.contains("report-invalid") && !text.contains('{'), "{text}");
    }
}
