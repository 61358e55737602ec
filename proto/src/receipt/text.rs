//! The text form: a C2SP tlog-proof with the leaf as extra data. File form: `ID.tlog-proof`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::{Error, INCLUSION_LENGTH_MAX, Receipt, ReceiptState, check_length};
use crate::checkpoint::{NOTE_LENGTH_MAX, decimal, hash};
use crate::id::Seq;
use crate::leaf::Leaf;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Bytes of a receipt as text, at most.
pub const RECEIPT_TEXT_LENGTH_MAX: usize = NOTE_LENGTH_MAX + INCLUSION_LENGTH_MAX * 45 + 1024;

impl Receipt {
    /// C2SP tlog-proof with the leaf in `extra`.
    pub fn to_tlog_proof(&self) -> String {
        let mut out = format!("{FIRST_LINE}\nextra {}\nindex {}\n", BASE64.encode(self.leaf.encode()), self.sequence);
        for hash in &self.inclusion {
            out.push_str(&BASE64.encode(hash));
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&String::from_utf8_lossy(&self.checkpoint));
        out
    }

    /// From C2SP tlog-proof. The state is [`ReceiptState::Accepted`]: whether another site cosigned is the note's
    /// to show.
    pub fn from_tlog_proof(text: &str) -> Result<Receipt, Error> {
        if text.len() > RECEIPT_TEXT_LENGTH_MAX {
            return Err(Error::text_too_long(text.len()));
        }
        let wrong = |line: usize, expected: &'static str| move || Error::Line { line, expected };
        // No line before the checkpoint is empty, so the first empty one ends the proof.
        let (proof, checkpoint) =
            text.split_once("\n\n").ok_or_else(wrong(text.lines().count(), "an empty line before the checkpoint"))?;
        let mut lines = proof.split('\n');
        lines.next().filter(|line| *line == FIRST_LINE).ok_or_else(wrong(1, FIRST_LINE))?;
        let leaf = lines.next().and_then(|line| BASE64.decode(line.strip_prefix("extra ")?).ok());
        let leaf = leaf.ok_or_else(wrong(2, "extra and the leaf in base64"))?;
        let sequence = lines.next().and_then(|line| decimal(line.strip_prefix("index ")?));
        let sequence = sequence.ok_or_else(wrong(3, "index and a decimal number without leading zeros"))?;
        let inclusion = lines
            .zip(4..)
            .map(|(text, line)| hash(text).ok_or_else(wrong(line, "a hash of 32 bytes in base64")))
            .collect::<Result<Vec<_>, _>>()?;
        check_length(inclusion.len())?;
        Ok(Receipt {
            leaf: Leaf::decode(&leaf)?,
            sequence: Seq(sequence),
            inclusion,
            checkpoint: Bytes::copy_from_slice(checkpoint.as_bytes()),
            state: ReceiptState::Accepted,
        })
    }
}
