//! Conditions between the figures of a row: `a = b + c - d`, `a <= b`.

use std::fmt;
use std::str::FromStr;

use kho_proto::error::excerpt;

/// Terms of a condition, at most.
const TERMS_MAX: usize = 64;

/// How the left side stands to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Equal,
    AtMost,
    AtLeast,
    Below,
    Above,
}

impl Relation {
    fn as_str(self) -> &'static str {
        match self {
            Relation::Equal => "=",
            Relation::AtMost => "<=",
            Relation::AtLeast => ">=",
            Relation::Below => "<",
            Relation::Above => ">",
        }
    }
}

/// A figure, or a signed sum of figures, against another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub left: String,
    pub relation: Relation,
    /// Whether it is taken away, and the field's key.
    pub right: Vec<(bool, String)>,
}

/// What a check says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub left: i128,
    pub right: i128,
    pub holds: bool,
}

impl Check {
    /// Keys of all fields in it.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.left.as_str()).chain(self.right.iter().map(|(_, key)| key.as_str()))
    }

    /// Both sides, in one scale; none while a figure is missing or no number.
    pub fn sides(&self, value: impl Fn(&str) -> Option<i128>) -> Option<Sides> {
        let left = value(&self.left)?;
        let right = self.right.iter().try_fold(0_i128, |sum, (minus, key)| {
            let value = value(key)?;
            if *minus { sum.checked_sub(value) } else { sum.checked_add(value) }
        })?;
        let holds = match self.relation {
            Relation::Equal => left == right,
            Relation::AtMost => left <= right,
            Relation::AtLeast => left >= right,
            Relation::Below => left < right,
            Relation::Above => left > right,
        };
        Some(Sides { left, right, holds })
    }

    /// With other words in place of the keys.
    pub fn written(&self, name: impl Fn(&str) -> String) -> String {
        let mut text = format!("{} {}", name(&self.left), self.relation.as_str());
        for (place, (minus, key)) in self.right.iter().enumerate() {
            text += match (place, minus) {
                (0, false) => " ",
                (0, true) => " -",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            text += &name(key);
        }
        text
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(str::to_owned))
    }
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || excerpt(text);
        let mut words = text.split(' ');
        let left = key(words.next()).ok_or_else(refuse)?;
        let relation = match words.next() {
            Some("=") => Relation::Equal,
            Some("<=") => Relation::AtMost,
            Some(">=") => Relation::AtLeast,
            Some("<") => Relation::Below,
            Some(">") => Relation::Above,
            _ => return Err(refuse()),
        };
        let mut right = vec![(false, key(words.next()).ok_or_else(refuse)?)];
        while let Some(sign) = words.next() {
            let minus = match sign {
                "+" => false,
                "-" => true,
                _ => return Err(refuse()),
            };
            right.push((minus, key(words.next()).ok_or_else(refuse)?));
        }
        if right.len() > TERMS_MAX {
            return Err(refuse());
        }
        Ok(Self { left, relation, right })
    }
}

fn key(word: Option<&str>) -> Option<String> {
    word.filter(|word| is_key(word)).map(str::to_owned)
}

/// Whether a text may be the key of a field: 1 to 64 of `a-z A-Z 0-9 _`, with a letter first.
pub fn is_key(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_grammar() {
        for text in ["a = b - c", "a = b + c - d - e", "a <= b", "a >= b", "a < b", "a > b + c"] {
            assert_eq!(text.parse::<Check>().expect(text).to_string(), text);
        }
        for text in ["", "a", "a =", "a = b *", "a = b + ", "a ! b", "a = b * c", "a  = b", "a = 1", "a = b + -c"] {
            assert!(text.parse::<Check>().is_err(), "{text}");
        }
    }

    #[test]
    fn both_sides_are_told() {
        let value = |key: &str| [("a", 5), ("b", 7), ("c", 2)].iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let sides = |text: &str| text.parse::<Check>().expect(text).sides(value).map(|s| (s.left, s.right, s.holds));
        assert_eq!(sides("a = b - c"), Some((5, 5, true)));
        assert_eq!(sides("a = b + c"), Some((5, 9, false)));
        assert_eq!(sides("b <= a"), Some((7, 5, false)));
        assert_eq!(sides("b > a"), Some((7, 5, true)));
        assert_eq!(sides("a = b - x"), None);
        let huge = |_: &str| Some(i128::MAX);
        assert_eq!("a = b + c".parse::<Check>().expect("a check").sides(huge), None, "no overflow");
    }
}
