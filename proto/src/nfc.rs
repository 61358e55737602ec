//! Names that are compared as bytes have one form where they are made: NFC (Unicode Standard Annex 15). macOS, for one, takes
//! the letters of file names apart.

use unicode_normalization::UnicodeNormalization;
pub use unicode_normalization::is_nfc;

/// The same text in NFC.
pub fn nfc(text: &str) -> String {
    text.nfc().collect()
}
