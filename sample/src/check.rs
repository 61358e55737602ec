//! Arithmetic conditions between fields: `a = b + c - d` and `a <= b`.

use std::fmt;

use serde::Deserialize;

/// How the left side relates to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    AtMost,
}

/// A condition: a field against a signed sum of fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Check {
    pub(crate) left: String,
    pub(crate) relation: Relation,
    /// Keys with their sign, 1 or -1.
    pub(crate) terms: Vec<(i64, String)>,
}

impl Check {
    /// The right side, or nothing while a field is not known.
    pub(crate) fn sum(&self, value: impl Fn(&str) -> Option<i64>) -> Option<i64> {
        self.terms.iter().try_fold(0_i64, |sum, (sign, key)| sum.checked_add(sign * value(key)?))
    }

    /// Whether the condition holds; nothing while a field is not known.
    pub(crate) fn holds(&self, value: impl Fn(&str) -> Option<i64>) -> Option<bool> {
        let (left, right) = (value(&self.left)?, self.sum(&value)?);
        Some(match self.relation {
            Relation::Equal => left == right,
            Relation::AtMost => left <= right,
        })
    }
}

impl TryFrom<String> for Check {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refuse = || format!("expected `a = b + c - d` or `a <= b`, found {text:?}");
        let mut words = text.split_whitespace();
        let left = words.next().ok_or_else(refuse)?.to_owned();
        let relation = match words.next() {
            Some("=") => Relation::Equal,
            Some("<=") => Relation::AtMost,
            _ => return Err(refuse()),
        };
        let mut terms = vec![(1, words.next().ok_or_else(refuse)?.to_owned())];
        while let Some(operator) = words.next() {
            let sign = match operator {
                "+" => 1,
                "-" => -1,
                _ => return Err(refuse()),
            };
            terms.push((sign, words.next().ok_or_else(refuse)?.to_owned()));
        }
        Ok(Self { left, relation, terms })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::Equal => "=",
            Relation::AtMost => "<=",
        };
        write!(f, "{} {relation}", self.left)?;
        for (place, (sign, key)) in self.terms.iter().enumerate() {
            match (place, sign) {
                (0, _) => write!(f, " {key}")?,
                (_, 1) => write!(f, " + {key}")?,
                _ => write!(f, " - {key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Check, String> {
        Check::try_from(text.to_owned())
    }

    #[test]
    fn parses_and_prints() {
        for text in ["a = b - c", "a = b + c - d - e", "a <= b"] {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
        for text in ["", "a", "a =", "a = b *", "a = b + ", "a > b", "a = b * c"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn holds_or_not_or_unknown() {
        let value = |key: &str| match key {
            "a" => Some(5),
            "b" => Some(7),
            "c" => Some(2),
            _ => None,
        };
        let holds = |text| parse(text).expect("a check").holds(value);
        assert_eq!(holds("a = b - c"), Some(true));
        assert_eq!(holds("a = b + c"), Some(false));
        assert_eq!(holds("a <= b"), Some(true));
        assert_eq!(holds("b <= a"), Some(false));
        assert_eq!(holds("a = b - x"), None);
    }
}
