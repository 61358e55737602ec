//! Texts of who sends: submit and the outbox.

use super::Text;

texts! {
    /// Of a record.
    RECEIVED:
        "record {id}: sequence {sequence}, accepted {at}, by node {node}",
        "bản ghi {id}: số thứ tự {sequence}, tiếp nhận lúc {at}, do nút {node} trả lời";
    /// Of a record.
    RECEIVED_BEFORE:
        "record {id}: sequence {sequence}, accepted {at} (it was there already), by node {node}",
        "bản ghi {id}: số thứ tự {sequence}, tiếp nhận lúc {at} (đã có trong kho từ trước), do nút {node} trả lời";
    /// Of a record.
    NOT_IN: "record {id} is not in: submit {path} again", "bản ghi {id} chưa vào kho: hãy gửi lại {path}";
    /// Of a file.
    SIGNED_BEFORE: "signed before: sending {path} again", "đã ký từ trước: gửi lại {path}";
    /// Of a record.
    DONE_BEFORE:
        "record {id}: done by an earlier run, its receipt is there",
        "bản ghi {id}: đã xong ở lần chạy trước, biên nhận còn đó";
    /// Of a state.
    STATE_HELD: "{path} is in use by another kho submit", "{path} đang được một lệnh kho submit khác dùng";
    /// Of a state.
    NOT_REMEMBERED:
        "{why}: what is signed now is not remembered, and the same file given again is a new report",
        "{why}: những gì ký bây giờ không được ghi nhớ, gửi lại cùng tệp sẽ thành báo cáo mới";
    /// What to do about a refusal.
    HINT_SUPERSEDES:
        "to correct what is in, give the report \"supersedes\": the id of the latest revision, the first line of: {command}",
        "để đính chính, thêm vào báo cáo \"supersedes\": mã của bản mới nhất, ở dòng đầu của: {command}";
    /// What to do about a refusal.
    HINT_SIGNED_BEFORE:
        "a record was signed and sent under this id before: kho get {id} --out {out} fetches it with its receipt, if it is this report; another report needs another id",
        "mã này đã được ký và gửi cho một bản ghi: nếu chính là báo cáo này, kho get {id} --out {out} lấy lại bản ghi cùng biên nhận; báo cáo khác cần mã khác";
    /// Of standard input, or a file of lines.
    NOT_IN_LINES:
        "expected a report in one line (NDJSON), found JSON over several lines: save it as a file .json, or make lines of it with jq -c .",
        "cần mỗi báo cáo trên một dòng (NDJSON), nhưng JSON này trải nhiều dòng: lưu thành tệp .json, hoặc dùng jq -c . để dồn về một dòng";
    /// Below several files.
    FILES_FAILED:
        "{failed} of {files} files failed; of the others the records are in",
        "{failed} trong {files} tệp không thành công; bản ghi của các tệp còn lại đã vào kho";
    /// Of a receipt that proves nothing.
    EVIDENCE_KEPT: "the receipt is kept as evidence: {path}", "biên nhận được giữ làm bằng chứng: {path}";
    /// Of a receipt that proves nothing.
    EVIDENCE_LOST:
        "the receipt could not be kept as evidence: {path}: {error}",
        "không giữ được biên nhận làm bằng chứng: {path}: {error}";
    /// Of what the log has signed.
    NOT_REMEMBERED_LOG:
        "what the log has signed is not remembered: {error}",
        "không ghi nhớ được những gì nhật ký đã ký: {error}";
    /// Ctrl-C.
    INTERRUPTED:
        "interrupted: what was acknowledged has its receipt in {out}; the same command goes on, and stores nothing twice",
        "bị ngắt: báo cáo đã được tiếp nhận có biên nhận trong {out}; chạy lại đúng lệnh này sẽ làm tiếp, không lưu gì hai lần";
    /// Ctrl-C.
    INTERRUPTED_READING:
        "interrupted while reading: what was acknowledged is told above; the same command goes on, and stores nothing twice",
        "bị ngắt khi đang đọc: những gì đã tiếp nhận được kể ở trên; chạy lại đúng lệnh này sẽ làm tiếp, không lưu gì hai lần";

    /// Where a record is in an outbox.
    QUEUED: "queued", "đang chờ";
    /// Where a record is in an outbox.
    QUEUED_IN_DOUBT: "queued, in doubt", "đang chờ, chưa rõ đã vào kho";
    /// Where a record is in an outbox.
    REFUSED_STATE: "refused", "bị từ chối";
    /// Where a record is in an outbox.
    REFUSED_IN_DOUBT: "refused, in doubt", "bị từ chối, chưa rõ đã vào kho";
    /// Where a record is in an outbox.
    DELIVERED: "delivered", "đã gửi xong";
    /// Heading.
    OLDEST: "oldest", "chờ lâu nhất";
    /// Heading.
    WAITS_FOR: "waits for", "chờ vì";
    /// Heading.
    ROOM: "room", "chỗ chứa";
    /// Heading.
    ORIGIN: "from", "lấy từ";
    /// Heading.
    ADDED: "added", "thêm lúc";
    /// Heading.
    ROUNDS: "rounds", "số lần gửi";
    /// Heading.
    WHY: "why", "lý do";
    /// Of an outbox.
    OUTBOX_QUEUED: "{queued}, of which {doubt} may be in already", "{queued}, trong đó {doubt} có thể đã vào kho";
    /// Of an outbox.
    OUTBOX_ROOM:
        "{held} of {most}, {bytes} of {bytes_most} bytes",
        "{held} trên tối đa {most}, {bytes} trên tối đa {bytes_most} byte";
    /// Of an outbox.
    OUTBOX_KEPT:
        "{records} kept with their receipts, {bytes} bytes",
        "còn giữ {records} cùng biên nhận, {bytes} byte";
    /// Of a record that was added.
    THERE_ALREADY: "record {id}: it was there already, {state}", "bản ghi {id}: đã có từ trước, {state}";
    /// Of a report that was given again.
    ADDED_BEFORE:
        "record {id}: added before, and no longer here: delivered, or taken out by hand",
        "bản ghi {id}: đã thêm từ trước, nay không còn ở đây: đã gửi xong, hoặc có người lấy ra";
    /// Nothing was given.
    NOTHING_TO_ADD: "expected reports to add, found none in what was given", "cần có báo cáo để thêm, nhưng không thấy báo cáo nào";
    /// Of retry.
    NONE_REFUSED: "no record is refused", "không có bản ghi nào bị từ chối";
    /// Of retry.
    QUEUED_AGAIN: "queued again: {records}", "đưa vào hàng chờ lại: {records}";
    /// Of refuse.
    GIVEN_UP:
        "given up: {records}, of which {doubt} may be in; kho outbox retry sends the same bytes again",
        "đã thôi gửi: {records}, trong đó {doubt} có thể đã vào kho; kho outbox retry gửi lại đúng nội dung đó";
    /// An outcome.
    TOLD_DELIVERED: "record {id}: sequence {sequence}", "bản ghi {id}: số thứ tự {sequence}";
    /// An outcome.
    TOLD_REFUSED: "record {id}: refused {why}", "bản ghi {id}: bị từ chối {why}";
    /// An outcome.
    TOLD_WAITS: "record {id}: waits {why}", "bản ghi {id}: còn chờ {why}";
    /// Outcomes.
    NOT_TOLD: "{count} outcomes were not told; kho outbox list has them", "{count} kết quả không kịp kể ra; xem kho outbox list";
    /// The end of run.
    RUN_STOPPED: "stopped; still waiting: {records}, refused: {refused}", "đã dừng; còn chờ: {records}, bị từ chối: {refused}";
    /// The end of drain.
    DRAIN_STOPPED:
        "stopped; still waiting: {records}, of which {doubt} may be in",
        "đã dừng; còn chờ: {records}, trong đó {doubt} có thể đã vào kho";
    /// The end of drain.
    DRAIN_REFUSED: "refused: {records}; kho outbox list --refused says why", "bị từ chối: {records}; kho outbox list --refused cho biết lý do";
    /// The end of drain.
    OTHER_SENDER:
        "waiting for another sender: {records} [{codes}], {doubt} of them may be in, refused: {refused}: use a certificate that may send them, or take them out with --rounds-max 1 and kho outbox export --refused --forget",
        "chờ người gửi khác: {records} [{codes}], trong đó {doubt} có thể đã vào kho, bị từ chối: {refused}: hãy dùng chứng thư được phép gửi, hoặc lấy ra bằng --rounds-max 1 rồi kho outbox export --refused --forget";
}
