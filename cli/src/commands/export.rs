//! Files with which `openssl` alone checks the sender.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kho_proto::dsse;
use kho_proto::header::Header;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::signature::{Algorithm, SignatureBlock};

use crate::exit::Result;

/// Characters of a PEM line (RFC 7468).
const PEM_LINE: usize = 64;

/// DER as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// The command that checks `signature.bin` over `signed.bin` with `public-key.pem`.
pub fn command(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => {
            "openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in signed.bin -sigfile signature.bin"
        }
        Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha256 => {
            "openssl dgst -sha256 -verify public-key.pem -signature signature.bin signed.bin"
        }
        Algorithm::RsaPssSha256 => {
            "openssl dgst -sha256 -verify public-key.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
             -signature signature.bin signed.bin"
        }
    }
}

/// Writes the parts of a record, and a README with the commands.
pub fn write(record: &SignedRecord, dir: &Path) -> Result<Vec<PathBuf>> {
    let header = Header::decode(&record.header)?;
    let block = SignatureBlock::decode(&record.signature_block)?;
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut written = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| -> Result {
        let path = dir.join(name);
        kho::files::write(&path, bytes).with_context(|| path.display().to_string())?;
        written.push(path);
        Ok(())
    };
    put("header.bin", &record.header)?;
    put("signed.bin", &dsse::signed_bytes(&record.header))?;
    put("signature.bin", &block.signature)?;
    put("payload", &record.payload)?;
    put("salt.bin", &header.salt)?;
    let mut certificates = record.certificates.iter().map(|der| pem("CERTIFICATE", der));
    put("certificate.pem", certificates.next().unwrap_or_default().as_bytes())?;
    let intermediates: String = certificates.collect();
    if !intermediates.is_empty() {
        put("intermediates.pem", intermediates.as_bytes())?;
    }
    put("README", readme(&header, block.algorithm, !intermediates.is_empty()).as_bytes())?;
    Ok(written)
}

fn readme(header: &Header, algorithm: Algorithm, intermediates: bool) -> String {
    let mut text = format!(
        "Record {}\nunit {}, regime {}, period {}, submitted {}\nsigned with {algorithm}\n\n\
         Nothing but openssl is needed to check the sender. In this directory:\n\n",
        header.record_id, header.unit, header.regime, header.period, header.submitted_at,
    );
    let untrusted = if intermediates { " -untrusted intermediates.pem" } else { "" };
    let _ = write!(
        text,
        "1. The public key of the certificate:\n\n  openssl x509 -in certificate.pem -pubkey -noout -out public-key.pem\n\n\
         2. The signature; expect \"Verified OK\" or \"Signature Verified Successfully\":\n\n  {}\n\n\
         3. The certificate; signers-ca.pem is the authority that you trust, the unit stands in its names:\n\n  \
         openssl verify -CAfile signers-ca.pem{untrusted} certificate.pem\n  \
         openssl x509 -in certificate.pem -noout -ext subjectAltName\n\n\
         4. The payload; its digest stands in the header (SHA-256 of salt and payload):\n\n  \
         cat salt.bin payload | openssl dgst -sha256\n  expected {}\n\n\
         signed.bin is header.bin in DSSE's pre-authentication encoding, type {}.\n",
        command(algorithm),
        header.payload_digest,
        dsse::HEADER_TYPE,
    );
    text
}
