//! Encodes a Raft entry straight from its commands, once.

use bytes::{Bytes, BytesMut};
use kho_ledger::entry_version;
use kho_proto::id::{Epoch, UnixMs};
use kho_proto::pb::ledger::v1::Command;
use prost::encoding::{encoded_len_varint, message, uint32, uint64};

/// Encoded `kho.ledger.v1.Entry`, of the least version that holds its commands: nodes of an older release go on as long as
/// nobody uses what they do not know.
pub fn encode(epoch: Epoch, proposed_at: UnixMs, commands: &[Command]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_LENGTH_MAX + message::encoded_len_repeated(4, commands));
    let version = commands.iter().map(entry_version).max().unwrap_or(1);
    uint32::encode(1, &version, &mut out);
    uint64::encode(2, &epoch.0, &mut out);
    uint64::encode(3, &proposed_at.0, &mut out);
    message::encode_repeated(4, commands, &mut out);
    out.freeze()
}

/// Three tags and their numbers.
const HEAD_LENGTH_MAX: usize = 3 + 5 + 10 + 10;

/// Bytes that a command takes in an entry.
pub fn length(command: &Command) -> usize {
    let length = prost::Message::encoded_len(command);
    1 + encoded_len_varint(length as u64) + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::pb::ledger::v1::{Entry, Genesis, Submit, command::Kind};
    use prost::Message;

    #[test]
    fn equals_the_message_encoded_whole() {
        let commands = vec![
            Command { kind: Some(Kind::Genesis(Genesis { epoch: 1, ..Genesis::default() })) },
            Command {
                kind: Some(Kind::Submit(Submit { sealed_payload: Bytes::from(vec![7; 300]), ..Submit::default() })),
            },
        ];
        let entry = Entry { version: 1, epoch: 3, proposed_at_ms: 1_600_000_000_000, commands: commands.clone() };
        let encoded = encode(Epoch(3), UnixMs(1_600_000_000_000), &commands);
        assert_eq!(encoded, entry.encode_to_vec());
        let head = Entry { commands: Vec::new(), ..entry }.encoded_len();
        assert_eq!(Entry::decode(encoded.clone()).map(|entry| entry.version), Ok(1));
        let judged = Command { kind: Some(Kind::Submit(Submit { crl_version: 3, ..Submit::default() })) };
        let newer = encode(Epoch(3), UnixMs(1), &[commands[0].clone(), judged]);
        assert_eq!(Entry::decode(newer).map(|entry| entry.version), Ok(2));
        assert_eq!(encoded.len(), head + commands.iter().map(length).sum::<usize>());
    }
}
