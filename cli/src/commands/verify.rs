//! `kho verify`: everything about a record and its receipt that can be checked without anybody's help.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho_proto::certificate::TrustRoots;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::dsse;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::receipt::Receipt;
use kho_proto::record;
use kho_proto::signature::{self, SignatureBlock};
use x509_parser::prelude::FromDer;

use crate::exit::{Exit, Failure, Result};
use crate::lang::{self, Lang, Text};

/// Checks a receipt and its record offline.
#[derive(clap::Args)]
#[command(after_help = "\
No network, no cluster: only the log's key, pinned beforehand, and with --trust the authority of signers. Prints one
line per check. Ends with 0 when all passed, with 1 when one failed.

Examples:
  kho verify --key \"$(cat log.vkey)\" --trust signers-ca.pem ID.tlog-proof ID.record
  kho verify --key log.vkey ID.tlog-proof ID.record")]
pub struct Args {
    /// The log's verifier key, or a file that holds it.
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// PEM of the authorities that you trust to name signers; without it the certificate is not checked.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The receipt, ID.tlog-proof.
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// The record, ID.record.
    #[arg(value_name = "RECORD")]
    record: PathBuf,
}

enum Verdict {
    Ok(String),
    Failed(String),
    Skipped(Text),
}

/// What was checked, and how it went.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, Verdict)>);

impl Checks {
    fn add<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        result: std::result::Result<T, E>,
        say: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.0.push((name, Verdict::Ok(say(&value))));
                Some(value)
            }
            Err(error) => {
                self.0.push((name, Verdict::Failed(error.to_string())));
                None
            }
        }
    }

    fn skip(&mut self, name: &'static str, why: Text) {
        self.0.push((name, Verdict::Skipped(why)));
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.0.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Ok(_))).count()
    }

    /// The first that failed, and why.
    pub fn first_failed(&self) -> Option<(&'static str, &str)> {
        self.0.iter().find_map(|(name, verdict)| match verdict {
            Verdict::Failed(why) => Some((*name, why.as_str())),
            _ => None,
        })
    }

    fn print(&self, lang: Lang) -> Result {
        for (name, verdict) in &self.0 {
            let name = lang::check(name, lang);
            let (word, what) = match verdict {
                Verdict::Ok(what) => (lang::CHECK_OK, what.as_str()),
                Verdict::Failed(why) => (lang::CHECK_FAILED, why.as_str()),
                Verdict::Skipped(why) => (lang::CHECK_SKIPPED, why.of(lang)),
            };
            outln!("{:<7} {name:<22} {what}", word.of(lang))?;
        }
        Ok(())
    }
}

/// Runs all checks; those that build on a failed one are left out.
pub fn check(record: &SignedRecord, receipt: &Receipt, key: &VerifierKey, trust: Option<&TrustRoots>) -> Checks {
    let mut checks = Checks::default();
    check_sender(&mut checks, record, receipt, trust);
    check_log(&mut checks, record, receipt, key);
    checks
}

fn check_sender(checks: &mut Checks, record: &SignedRecord, receipt: &Receipt, trust: Option<&TrustRoots>) {
    let header = checks.add("header", Header::decode(&record.header), |header| {
        format!("{} of {}, regime {}, period {}", header.record_id, header.unit, header.regime, header.period)
    });
    if let Some(header) = &header {
        checks.add("payload", header.check_payload(&record.payload), |()| {
            format!("{} bytes, SHA-256 with salt {}", header.payload_length, header.payload_digest)
        });
    }
    let block = checks
        .add("signature block", SignatureBlock::decode(&record.signature_block), |block| block.algorithm.to_string());
    let Some(block) = block else { return };
    let digests: Vec<Digest> = record.certificates.iter().map(|der| Digest::of(der)).collect();
    let named =
        if digests == block.certificate_digests { Ok(()) } else { Err("not those that the signature block names") };
    checks.add("certificates", named, |()| format!("{} as the signature block names them", digests.len()));
    checks.add("signature", sender_signature(record, &block), |()| {
        "by the certificate's key, over the exact header bytes".to_owned()
    });
    let Some(trust) = trust else {
        checks.skip("signer", lang::NO_TRUST);
        return;
    };
    let at = receipt.leaf.accepted_at;
    let signer = record::verify_record(record, trust, at);
    checks.add("signer", signer, |verified| {
        format!(
            "{} ({}), trusted at {}",
            verified.signer().unit,
            verified.signer().subject,
            SubmittedAt::from_unix_ms(at)
        )
    });
}

fn sender_signature(record: &SignedRecord, block: &SignatureBlock) -> std::result::Result<(), String> {
    let first = record.certificates.first().ok_or("no certificate")?;
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(first).map_err(|error| error.to_string())?;
    let message = dsse::signed_bytes(&record.header);
    signature::verify(block.algorithm, certificate.public_key().raw, &message, &block.signature)
        .map_err(|error| error.to_string())
}

fn check_log(checks: &mut Checks, record: &SignedRecord, receipt: &Receipt, key: &VerifierKey) {
    checks.add("checkpoint", key.open(&receipt.checkpoint), |checkpoint| {
        format!("signed by {key}: {} leaves, root {}", checkpoint.size, checkpoint.root)
    });
    checks.add("inclusion", receipt.verify(key), |_| {
        format!("sequence {}, accepted {}", receipt.sequence, SubmittedAt::from_unix_ms(receipt.leaf.accepted_at))
    });
    checks.add("receipt of the record", receipt.verify_record(key, record), |_| {
        "record id, header and signature block are the leaf's".to_owned()
    });
}

/// The key of an argument: the key itself, or the file that holds it.
fn verifier_key(argument: &str) -> Result<VerifierKey> {
    let file = std::fs::read_to_string(argument);
    let text = file.as_deref().unwrap_or(argument);
    let shown = match &file {
        Ok(_) => format!("--key {argument}"),
        Err(_) if argument.trim().is_empty() => "--key is empty: is the variable set?".to_owned(),
        Err(error) => format!("--key {argument:?} is no verifier key, and no file that can be read ({error})"),
    };
    Ok(text.trim().parse().with_context(|| shown)?)
}

/// The log that a receipt says it is of: the first line of its checkpoint.
fn origin(receipt: &Receipt) -> String {
    String::from_utf8_lossy(&receipt.checkpoint).lines().next().unwrap_or_default().to_owned()
}

fn is_of_other_log(receipt: &Receipt, key: &VerifierKey) -> bool {
    origin(receipt) != key.origin().as_str()
}

/// What lies in the place of a receipt, or of a record, where it is the other one.
fn swapped(args: &Args) -> bool {
    let head =
        |path: &Path| std::fs::read(path).map(|bytes| bytes.starts_with(b"c2sp.org/tlog-proof@")).unwrap_or(false);
    !head(&args.receipt) && head(&args.record)
}

pub fn run(args: &Args) -> Result {
    let key = verifier_key(&args.key)?;
    if swapped(args) {
        return Err(Failure::usage(lang::VERIFY_SWAPPED.get()));
    }
    let trust = match &args.trust {
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
            Some(TrustRoots::from_pem(&pem)?)
        }
        None => None,
    };
    let proof = std::fs::read_to_string(&args.receipt).with_context(|| args.receipt.display().to_string())?;
    let receipt = Receipt::from_tlog_proof(&proof).with_context(|| args.receipt.display().to_string())?;
    let bytes = std::fs::read(&args.record).with_context(|| args.record.display().to_string())?;
    let record = record::from_file(bytes).with_context(|| args.record.display().to_string())?;
    let checks = check(&record, &receipt, &key, trust.as_ref());
    checks.print(lang::current())?;
    match checks.first_failed() {
        None => Ok(()),
        Some(_) if is_of_other_log(&receipt, &key) => {
            let found = origin(&receipt);
            let names: [(&str, &dyn std::fmt::Display); 2] = [("expected", key.origin()), ("found", &found)];
            Err(Failure::coded(
                Exit::Refused,
                Refusal::new(Code::ReceiptInvalid, lang::OTHER_LOG.with(lang::current(), &names)),
            ))
        }
        Some((name, why)) => Err(Failure::new(Exit::Refused, format!("{name}: {why}"))),
    }
}

#[cfg(test)]
mod tests;
