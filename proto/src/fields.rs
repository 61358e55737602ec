//! Fields of a payload that break their rules, one by one, as they travel with a refusal.

use prost::Message;

use crate::pb::v1 as pb;

/// Fields that a refusal names, at most: whoever has more mistakes mends these first. They are counted all the same.
pub const FIELDS_MAX: usize = 200;
/// Bytes of them in a gRPC status, at most: it travels in headers, in base64, and clients take 8 KiB of headers and more.
pub const STATUS_FIELDS_BYTES_MAX: usize = 4096;

/// A field that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldError {
    /// Where, e.g. `rows[3].deaths`.
    pub path: String,
    /// What would have been right.
    pub expected: String,
    /// What stands there, cut short.
    pub found: String,
    /// One sentence in Vietnamese.
    pub message_vi: String,
    /// The same in English.
    pub message_en: String,
}

/// The fields of one payload that break their rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldErrors {
    errors: Vec<FieldError>,
    total: u32,
}

impl FieldErrors {
    /// Counts an error, and keeps it while there is room.
    pub fn push(&mut self, error: FieldError) {
        self.total = self.total.saturating_add(1);
        if self.errors.len() < FIELDS_MAX {
            self.errors.push(error);
        }
    }

    /// Those that were kept, in the order of their places.
    pub fn kept(&self) -> &[FieldError] {
        &self.errors
    }

    /// How many there were.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// As many of the first as fit in [`STATUS_FIELDS_BYTES_MAX`].
    pub fn for_status(&self) -> Vec<pb::FieldError> {
        let mut left = STATUS_FIELDS_BYTES_MAX;
        let fits = |error: &pb::FieldError| {
            let length = error.encoded_len() + 4;
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        };
        self.to_pb().into_iter().take_while(fits).collect()
    }

    /// All that were kept.
    pub fn to_pb(&self) -> Vec<pb::FieldError> {
        self.errors
            .iter()
            .map(|error| pb::FieldError {
                path: error.path.clone(),
                expected: error.expected.clone(),
                found: error.found.clone(),
                message_vi: error.message_vi.clone(),
                message_en: error.message_en.clone(),
            })
            .collect()
    }

    /// Off the wire; a peer that sends more than may be kept is cut short.
    pub fn from_pb(errors: Vec<pb::FieldError>, total: u32) -> Self {
        let errors: Vec<_> = errors
            .into_iter()
            .take(FIELDS_MAX)
            .map(|error| FieldError {
                path: error.path,
                expected: error.expected,
                found: error.found,
                message_vi: error.message_vi,
                message_en: error.message_en,
            })
            .collect();
        let total = total.max(u32::try_from(errors.len()).unwrap_or(u32::MAX));
        Self { errors, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(n: usize) -> FieldError {
        let message = |text: &str| format!("{text} {n}");
        FieldError {
            path: format!("rows[{n}].deaths"),
            expected: "at most 9".to_owned(),
            found: "10".to_owned(),
            message_vi: message("Số người chết lớn hơn mức cho phép"),
            message_en: message("more deaths than may be"),
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut errors = FieldErrors::default();
        (0..FIELDS_MAX + 5).for_each(|n| errors.push(error(n)));
        assert_eq!((errors.kept().len(), errors.total()), (FIELDS_MAX, FIELDS_MAX as u32 + 5));
        let bytes: usize = errors.for_status().iter().map(Message::encoded_len).sum();
        assert!(bytes <= STATUS_FIELDS_BYTES_MAX && bytes > STATUS_FIELDS_BYTES_MAX / 2, "{bytes}");
        assert_eq!(FieldErrors::from_pb(errors.to_pb(), errors.total()), errors);
    }
}
