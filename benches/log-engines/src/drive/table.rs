//! Tables that a page takes as they are.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};

/// A table with these heads.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled).set_header(heads);
    table
}

/// Median, and the least and the most.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let of = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { of(middle) } else { (of(middle.wrapping_sub(1)) + of(middle)) / 2.0 };
    (median, of(0), of(sorted.len().wrapping_sub(1)))
}

/// The same in words.
pub fn in_words(values: &[f64], digits: usize) -> String {
    let (median, least, most) = spread(values);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_of_an_odd_and_of_an_even_number() {
        assert_eq!(spread(&[3.0, 1.0, 9.0]), (3.0, 1.0, 9.0));
        assert_eq!(spread(&[4.0, 1.0, 9.0, 2.0]), (3.0, 1.0, 9.0));
        assert_eq!(in_words(&[1.0, 2.0, 4.0], 1), "2.0 (1.0 to 4.0)");
        assert!(spread(&[]).0.is_nan());
    }
}
