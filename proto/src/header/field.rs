//! Rules of single fields: between the wire's loose types and [`Header`].

use std::str::FromStr;

use bytes::Bytes;

use super::{
    ATTACHMENT_LENGTH_MAX, ATTACHMENT_NAME_LENGTH_MAX, ATTACHMENTS_MAX, Attachment, Error, Header,
    MEDIA_TYPE_LENGTH_MAX, PAYLOAD_LENGTH_MAX, RECEIVERS_MAX, SERIES_LENGTH_MAX, VERSION,
};
use crate::digest::Digest;
use crate::error::excerpt;
use crate::id::{RecordId, UnitCode};
use crate::pb::v1 as pb;

pub(super) fn from_message(message: pb::Header) -> Result<Header, Error> {
    let record_id = record_id("record_id", &message.record_id)?;
    let header = Header {
        record_id,
        unit: code("unit", &message.unit)?,
        regime: code("regime", &message.regime)?,
        period: message.period.parse()?,
        series: series(message.series)?,
        supersedes: supersedes(&message.supersedes, record_id)?,
        receivers: receivers(&message.receivers)?,
        submitted_at: message.submitted_at.parse().map_err(|_| {
            Error::field("submitted_at", "YYYY-MM-DDTHH:MM:SS.mmm+07:00", excerpt(&message.submitted_at))
        })?,
        media_type: media_type("media_type", message.media_type)?,
        payload_length: message.payload_length,
        salt: exact("salt", &message.salt)?,
        payload_digest: Digest(exact("payload_digest", &message.payload_digest)?),
        attachments: attachments(message.attachments)?,
    };
    if header.payload_length > PAYLOAD_LENGTH_MAX as u64 {
        return Err(Error::PayloadTooLarge { found: header.payload_length });
    }
    Ok(header)
}

pub(super) fn to_message(header: &Header) -> pb::Header {
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    pb::Header {
        version: VERSION,
        record_id: bytes(header.record_id.as_ref()),
        unit: header.unit.to_string(),
        regime: header.regime.to_string(),
        period: header.period.to_string(),
        series: header.series.clone(),
        supersedes: header.supersedes.map_or_else(Bytes::new, |id| bytes(id.as_ref())),
        receivers: header.receivers.iter().map(UnitCode::to_string).collect(),
        submitted_at: header.submitted_at.to_string(),
        media_type: header.media_type.clone(),
        payload_length: header.payload_length,
        salt: bytes(&header.salt),
        payload_digest: bytes(header.payload_digest.as_ref()),
        attachments: header
            .attachments
            .iter()
            .map(|attachment| pb::Attachment {
                name: attachment.name.clone(),
                media_type: attachment.media_type.clone(),
                length: attachment.length,
                digest: bytes(attachment.digest.as_ref()),
            })
            .collect(),
    }
}

fn exact<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::field(field, format_args!("{N} bytes"), format_args!("{} bytes", bytes.len())))
}

fn record_id(field: &'static str, bytes: &[u8]) -> Result<RecordId, Error> {
    let id = RecordId(exact(field, bytes)?);
    if id.is_v7() { Ok(id) } else { Err(Error::field(field, "a UUIDv7", id)) }
}

fn supersedes(bytes: &[u8], own: RecordId) -> Result<Option<RecordId>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = record_id("supersedes", bytes)?;
    if id == own {
        return Err(Error::field("supersedes", "another record than itself", id));
    }
    Ok(Some(id))
}

fn code<T: FromStr>(field: &'static str, text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| Error::field(field, "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit", excerpt(text)))
}

fn series(text: String) -> Result<String, Error> {
    bounded("series", &text, SERIES_LENGTH_MAX)?;
    no_control("series", &text)?;
    Ok(text)
}

fn bounded(field: &'static str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::field(field, format_args!("at most {max} bytes"), format_args!("{} bytes", text.len())));
    }
    Ok(())
}

fn no_control(field: &'static str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(Error::field(field, "no control characters", format_args!("U+{:04X}", u32::from(c)))),
    }
}

fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), Error> {
    if count > max { Err(Error::field(field, format_args!("at most {max}"), count)) } else { Ok(()) }
}

fn receivers(texts: &[String]) -> Result<Vec<UnitCode>, Error> {
    at_most("receivers", texts.len(), RECEIVERS_MAX)?;
    let units = texts.iter().map(|text| code("receivers", text)).collect::<Result<Vec<UnitCode>, _>>()?;
    match units.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(units),
        Some(pair) => {
            Err(Error::field("receivers", "ascending unique codes", format_args!("{} before {}", pair[0], pair[1])))
        }
    }
}

fn attachments(messages: Vec<pb::Attachment>) -> Result<Vec<Attachment>, Error> {
    at_most("attachments", messages.len(), ATTACHMENTS_MAX)?;
    let mut attachments: Vec<Attachment> = Vec::with_capacity(messages.len());
    for message in messages {
        let name = attachment_name(message.name)?;
        if attachments.iter().any(|other| other.name == name) {
            return Err(Error::field("attachments.name", "unique names", excerpt(&name)));
        }
        if message.length > ATTACHMENT_LENGTH_MAX {
            let expected = format_args!("at most {ATTACHMENT_LENGTH_MAX} bytes");
            return Err(Error::field("attachments.length", expected, message.length));
        }
        attachments.push(Attachment {
            name,
            media_type: media_type("attachments.media_type", message.media_type)?,
            length: message.length,
            digest: Digest(exact("attachments.digest", &message.digest)?),
        });
    }
    Ok(attachments)
}

/// A name that can be a file's on any system: no separator, not `.` or `..`.
fn attachment_name(name: String) -> Result<String, Error> {
    const FIELD: &str = "attachments.name";
    bounded(FIELD, &name, ATTACHMENT_NAME_LENGTH_MAX)?;
    no_control(FIELD, &name)?;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
        return Err(Error::field(FIELD, "a file name without a path", excerpt(&name)));
    }
    Ok(name)
}

fn media_type(field: &'static str, text: String) -> Result<String, Error> {
    bounded(field, &text, MEDIA_TYPE_LENGTH_MAX)?;
    if is_media_type(&text) {
        return Ok(text);
    }
    Err(Error::field(field, "type/subtype with optional ; name=value parameters", excerpt(&text)))
}

/// `token "/" token *( ";" [" "] token "=" ( token / quoted-string ) )`, tokens as in RFC 9110, 5.6.2.
pub fn is_media_type(text: &str) -> bool {
    let subtype = token(text).and_then(|(_, rest)| rest.strip_prefix('/'));
    let Some((_, mut rest)) = subtype.and_then(token) else { return false };
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix(';').and_then(parameter) else { return false };
        rest = after;
    }
    true
}

/// What follows a parameter.
fn parameter(text: &str) -> Option<&str> {
    let (_, rest) = token(text.strip_prefix(' ').unwrap_or(text))?;
    let value = rest.strip_prefix('=')?;
    match value.strip_prefix('"') {
        None => token(value).map(|(_, rest)| rest),
        // Printable ASCII without escapes is enough for any name in use.
        Some(quoted) => {
            let (inside, rest) = quoted.split_once('"')?;
            inside.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'\\').then_some(rest)
        }
    }
}

/// The longest token at the start, at least one character, and what follows.
fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)));
    match end.unwrap_or(text.len()) {
        0 => None,
        end => Some(text.split_at(end)),
    }
}
