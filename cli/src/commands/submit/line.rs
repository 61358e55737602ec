//! A report as `kho submit` finds it in a line of NDJSON: a report document, or its fields and the payload's bytes.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::header::PAYLOAD_LENGTH_MAX;
use kho_proto::report::Report;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Result;

/// Either of them instead of `figures` or `text`.
const PAYLOAD_FIELDS: [&str; 2] = ["payload_base64", "payload_file"];

/// A report document whose payload is bytes.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    unit: String,
    regime: String,
    period: String,
    #[serde(default)]
    series: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
    #[serde(default)]
    receivers: Vec<String>,
    media_type: String,
    #[serde(skip_serializing)]
    payload_base64: Option<String>,
    #[serde(skip_serializing)]
    payload_file: Option<String>,
    /// In the place of the payload, while the other fields are judged.
    #[serde(skip_deserializing)]
    text: &'static str,
}

fn invalid(field: &str, expected: &str, found: impl Into<String>) -> Refusal {
    let found = found.into();
    Refusal::new(Code::ReportInvalid, format!("report field {field}: expected {expected}, found {found}"))
        .expected_found(expected, found)
}

/// A file below `base` and nothing else: a line may come from somebody who is not to choose which file of this machine is
/// signed and sent. A pipe would have no end.
fn open_below(base: &Path, name: &str) -> Result<(File, String)> {
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    let path = base.join(name);
    let shown = format!("payload_file: {}", path.display());
    let expected = "a regular file below the directory of the NDJSON, as a relative path without ..";
    let refused = |found: &str| invalid("payload_file", expected, format!("{} ({found})", excerpt(name)));
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(plain) {
        return Err(refused("an absolute path, or one with ..").into());
    }
    let real = path.canonicalize().with_context(|| shown.clone())?;
    if !real.starts_with(base.canonicalize().with_context(|| shown.clone())?) {
        return Err(refused("a link that leads out of it").into());
    }
    if !real.metadata().with_context(|| shown.clone())?.is_file() {
        return Err(refused("no regular file").into());
    }
    Ok((File::open(&real).with_context(|| shown.clone())?, shown))
}

fn payload(bytes: &Bytes, base: &Path) -> Result<Vec<u8>> {
    match (&bytes.payload_base64, &bytes.payload_file) {
        (Some(text), None) => Ok(STANDARD
            .decode(text)
            .map_err(|error| invalid("payload_base64", "base64 with its padding (RFC 4648)", error.to_string()))?),
        (None, Some(name)) => {
            let (file, shown) = open_below(base, name)?;
            let mut payload = Vec::new();
            // whatever is longer than a payload may be is not read to its end
            file.take(PAYLOAD_LENGTH_MAX as u64 + 1).read_to_end(&mut payload).with_context(|| shown)?;
            Ok(payload)
        }
        _ => Err(invalid("payload_base64", "exactly one of payload_base64 and payload_file", "both").into()),
    }
}

/// The parser names no field when a value is of another type: this does.
fn mistyped(object: &serde_json::Map<String, Value>) -> Option<Refusal> {
    let texts = [
        "id",
        "unit",
        "regime",
        "period",
        "series",
        "supersedes",
        "media_type",
        "text",
        "payload_base64",
        "payload_file",
    ];
    let list = |value: &Value| value.as_array().is_some_and(|units| units.iter().all(Value::is_string));
    object.iter().find_map(|(field, value)| match field.as_str() {
        "receivers" if !list(value) => Some(invalid(field, "a list of codes", excerpt(&value.to_string()))),
        name if texts.contains(&name) && !value.is_string() && !value.is_null() => {
            Some(invalid(field, "a string", excerpt(&value.to_string())))
        }
        _ => None,
    })
}

/// Reads a report; a `payload_file` is relative to `base`.
pub fn parse(document: &[u8], base: &Path) -> Result<Report> {
    // most documents have figures, whose numbers are read from their own digits
    let object = serde_json::from_slice::<serde_json::Map<String, Value>>(document).unwrap_or_default();
    if let Some(refusal) = mistyped(&object) {
        return Err(refusal.into());
    }
    if !PAYLOAD_FIELDS.iter().any(|field| object.contains_key(*field)) {
        return Ok(Report::from_json(document)?);
    }
    let bytes: Bytes = serde_json::from_slice(document).map_err(kho_proto::report::Error::from)?;
    let mut report = Report::from_json(&serde_json::to_vec(&bytes)?)?;
    report.payload = payload(&bytes, base)?.into();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(more: &str) -> String {
        format!(r#"{{"unit":"BYT","regime":"YT-01","period":"2020-06-12","receivers":["VPCP"],{more}}}"#)
    }

    #[test]
    fn a_payload_is_figures_text_base64_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("map.png"), b"\x89PNG").unwrap();
        for (more, payload, media_type) in [
            (
                r#""figures":{"b":1,"a":18446744073709551615}"#,
                &br#"{"a":18446744073709551615,"b":1}"#[..],
                "application/json",
            ),
            (r#""text":"không""#, "không".as_bytes(), "text/plain; charset=utf-8"),
            (r#""media_type":"image/png","payload_base64":"iVBORw==""#, b"\x89PNG", "image/png"),
            (r#""media_type":"image/png","payload_file":"map.png""#, b"\x89PNG", "image/png"),
        ] {
            let report =
                parse(line(more).as_bytes(), dir.path()).unwrap_or_else(|failure| panic!("{more}: {failure:?}"));
            assert_eq!((&report.payload[..], report.media_type.as_str()), (payload, media_type));
            assert_eq!(report.receivers[0].as_str(), "VPCP");
        }
    }

    #[test]
    fn a_bad_line_is_told_with_its_field() {
        for (more, field) in [
            (r#""payload_base64":"iVBORw==""#, "media_type"),
            (r#""media_type":"a/b","payload_base64":"!""#, "payload_base64"),
            (r#""media_type":"a/b","payload_base64":"","payload_file":"x""#, "payload_base64 and payload_file"),
            (r#""media_type":"a/b","payload_base64":"","figures":1"#, "figures"),
            (r#""media_type":"a/b","payload_base64":"","unit":"BYT""#, "unit"),
            (r#""media_type":"a/b","payload_file":"absent""#, "absent"),
            (r#""series":1,"text":"x""#, "series"),
            (r#""supersedes":["x"],"text":"x""#, "supersedes"),
            (r#""text":"x","colour":"red""#, "colour"),
        ] {
            let failure = parse(line(more).as_bytes(), Path::new("/")).expect_err(more);
            assert!(format!("{failure:?}").contains(field), "{more}: {failure:?}");
        }
    }

    #[test]
    fn a_payload_file_is_a_regular_file_below_the_lines() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("june");
        std::fs::create_dir_all(base.join("maps")).unwrap();
        let outside = dir.path().join("secret");
        for file in [&outside, &base.join("maps/a")] {
            std::fs::write(file, "x").unwrap();
        }
        std::os::unix::fs::symlink(&outside, base.join("out")).unwrap();
        std::os::unix::fs::symlink(dir.path(), base.join("up")).unwrap();
        std::os::unix::fs::symlink("maps/a", base.join("in")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(base.join("socket")).unwrap();
        let read = |name: &str| {
            parse(line(&format!(r#""media_type":"a/b","payload_file":{name:?}"#)).as_bytes(), &base)
                .map(|report| report.payload)
        };
        for inside in ["maps/a", "./maps/a", "in"] {
            assert_eq!(&read(inside).unwrap_or_else(|failure| panic!("{inside}: {failure:?}"))[..], b"x");
        }
        for other in [outside.to_str().unwrap(), "../secret", "maps/../../secret", "out", "up/secret", "socket", "maps"]
        {
            let failure = read(other).expect_err(other);
            assert_eq!(failure.code(), Some(Code::ReportInvalid), "{other}: {failure:?}");
            assert!(format!("{failure:?}").contains("payload_file: expected a regular file below"), "{failure:?}");
        }
    }
}
