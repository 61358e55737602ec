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
    let mut put_with = |write: fn(&Path, &[u8]) -> std::io::Result<()>, name: &str, bytes: &[u8]| -> Result {
        let path = dir.join(name);
        write(&path, bytes).with_context(|| path.display().to_string())?;
        written.push(path);
        Ok(())
    };
    // what the report says, who may read it, and with salt and digest in the header what it says can be guessed
    let mut private = |name: &str, bytes: &[u8]| put_with(kho::files::write_private, name, bytes);
    private("header.bin", &record.header)?;
    private("signed.bin", &dsse::signed_bytes(&record.header))?;
    private("payload", &record.payload)?;
    private("salt.bin", &header.salt)?;
    let mut put = |name: &str, bytes: &[u8]| put_with(kho::files::write, name, bytes);
    put("signature.bin", &block.signature)?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use kho::certs::{Authority, KeyKind, Profile, Validity};
    use kho_client::{Draft, PemSigner, System};
    use kho_proto::id::UnixMs;

    use super::*;

    const NOW: UnixMs = UnixMs(1_591_925_400_000);

    fn shell(dir: &Path, command: &str) -> (bool, String) {
        let output = Command::new("sh").arg("-c").arg(command).current_dir(dir).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    async fn record(authority: &Authority, kind: KeyKind, algorithm: Algorithm) -> SignedRecord {
        let profile = Profile::Signer { unit: "BYT".parse().unwrap() };
        let issued = authority.issue(&profile, kind, Validity::days(NOW, 30)).unwrap();
        let signer =
            PemSigner::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes(), Some(algorithm)).unwrap();
        let draft = Draft {
            record_id: None,
            unit: "BYT".parse().unwrap(),
            regime: "YT-01".parse().unwrap(),
            period: "2020-06-12".parse().unwrap(),
            series: String::new(),
            supersedes: None,
            receivers: vec![],
            media_type: "text/plain; charset=utf-8".to_owned(),
            payload: "Không có ca mắc mới".into(),
        };
        draft.sign(&signer, &System).await.unwrap().record().clone()
    }

    /// Every command that the README shows, as it stands there.
    fn commands(readme: &str) -> Vec<&str> {
        readme.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with("expected")).collect()
    }

    #[tokio::test]
    async fn openssl_alone_checks_every_algorithm() {
        let authority = Authority::create("signers", KeyKind::P256, Validity::days(NOW, 36_500)).unwrap();
        for (kind, algorithm) in [
            (KeyKind::Ed25519, Algorithm::Ed25519),
            (KeyKind::P256, Algorithm::EcdsaP256Sha256),
            (KeyKind::Rsa2048, Algorithm::RsaPkcs1Sha256),
            (KeyKind::Rsa2048, Algorithm::RsaPssSha256),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            let record = record(&authority, kind, algorithm).await;
            assert!(write(&record, dir).is_ok());
            std::fs::write(dir.join("signers-ca.pem"), authority.certificate()).unwrap();
            for name in ["header.bin", "signed.bin", "payload", "salt.bin"] {
                let mode = std::fs::metadata(dir.join(name)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name} holds what the report says, or lets it be guessed");
            }
            let readme = std::fs::read_to_string(dir.join("README")).unwrap();
            let digest = Header::decode(&record.header).unwrap().payload_digest.to_string();
            assert!(readme.contains(&digest));
            for command in commands(&readme) {
                // the certificates of this test are of 2020
                let command = command.replace("openssl verify", "openssl verify -no_check_time");
                let (good, text) = shell(dir, &command);
                assert!(good, "{algorithm}: {command}\n{text}");
                assert!(!command.starts_with("cat") || text.contains(&digest), "{text}");
            }
            let mut signed = std::fs::read(dir.join("signed.bin")).unwrap();
            signed[60] ^= 1;
            std::fs::write(dir.join("signed.bin"), signed).unwrap();
            assert!(!shell(dir, self::command(algorithm)).0, "{algorithm}: a flipped bit passes");
        }
    }
}
