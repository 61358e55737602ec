//! Texts of who operates and who looks: status, statistics, checks, wrong usage.

use super::{Lang, Text};

texts! {
    /// Of a watch, once.
    WATCH_WAITS:
        "no node tells anything: waiting, and going on at sequence {next} by itself once one does (Ctrl-C ends it): {why}",
        "chưa nút nào trả lời: lệnh đang chờ và sẽ tự theo dõi tiếp từ số thứ tự {next} khi có nút trả lời (nhấn Ctrl-C để dừng): {why}";
    /// Nobody told his state.
    NOBODY_ANSWERED: "no node answered", "không nút nào trả lời";
    /// Of a node that did not answer.
    NODE_UNREACHABLE: "node at {address} unreachable: {why}", "không liên lạc được nút ở {address}: {why}";
    /// Below the table of nodes.
    NOT_FORMED:
        "the cluster is not formed yet: kho cluster init, once all its nodes run",
        "cụm chưa được thành lập: chạy kho cluster init khi mọi nút đã chạy";
    /// Below the table of nodes.
    NO_MAJORITY:
        "no majority: {answering} of {voters} voting members answer here, {needed} are needed. Unless the others reach each other, nothing is accepted, and reads wait or are stale; what was accepted is safe",
        "không đủ đa số: chỉ {answering} trong {voters} thành viên bỏ phiếu trả lời từ đây, cần {needed}. Nếu các nút còn lại không liên lạc được với nhau thì không báo cáo nào được tiếp nhận, lệnh đọc phải chờ hoặc nhận dữ liệu cũ; những gì đã tiếp nhận vẫn an toàn";
    /// Below the table of nodes.
    NO_LEADER:
        "no node leads: an election is under way, or the members that answer do not reach each other",
        "chưa có nút dẫn đầu: đang bầu, hoặc các nút trả lời không liên lạc được với nhau";
    /// Below the table of nodes.
    NODE_LOST:
        "node {node} lost entries that it had confirmed: kho cluster replace {node} NEW",
        "nút {node} đã mất những mục mà nó từng xác nhận: kho cluster replace {node} NEW";
    /// Of a node.
    UNREACHABLE: "unreachable", "không liên lạc được";
    /// Of a node.
    NO_KEYS: "no keys", "không có khóa";
    /// Of a disk.
    SHORT: "short", "sắp hết";
    /// Heading.
    NODE: "node", "nút";
    /// Heading.
    ADMIN_ADDRESS: "admin address", "địa chỉ quản trị";
    /// Heading.
    ROLE: "role", "vai trò";
    /// Heading.
    TERM: "term", "nhiệm kỳ";
    /// Heading.
    EPOCH: "epoch", "giai đoạn";
    /// Heading.
    APPLIED: "applied", "đã áp dụng";
    /// Heading.
    LAG: "lag", "còn chậm";
    /// Heading.
    RECORDS_HELD: "records", "số bản ghi";
    /// Heading.
    VERSION: "version", "phiên bản";
    /// Heading.
    DISK: "disk", "đĩa";
    /// Heading.
    DISK_FREE: "disk free", "đĩa trống";
    /// Heading.
    MEMORY: "memory", "bộ nhớ";
    /// Heading.
    UP: "up", "đã chạy";
    /// Heading.
    CLOCK: "clock", "đồng hồ";
    /// Heading.
    PUBLIC_LOG: "public log", "nhật ký công khai";

    /// Below statistics.
    AS_OF: "as of {moment}, {of}", "tính đến {moment}, {of}";
    /// Below statistics.
    NO_CATALOGUE:
        "no catalogue is loaded: nothing is expected, and no report is counted. kho catalogue example prints one, kho catalogue load records it",
        "chưa nạp danh mục: không có báo cáo nào phải nộp và không báo cáo nào được đếm. kho catalogue example in ra một danh mục mẫu, kho catalogue load nạp danh mục";
    /// Below statistics.
    NO_REGIME: "the catalogue has no regime {code}", "danh mục không có chế độ báo cáo {code}";
    /// Below statistics.
    NO_UNIT: "the catalogue has no unit {code}", "danh mục không có đơn vị {code}";
    /// Below statistics.
    LEFT_OUT_REGIME:
        "left out: {records} of regime {regime}, which the catalogue does not have",
        "không tính: {records} của chế độ báo cáo {regime}, chế độ này không có trong danh mục";
    /// Below statistics.
    LEFT_OUT_UNITS:
        "left out: {records} of regime {regime} by units that do not report under it by the catalogue",
        "không tính: {records} của chế độ báo cáo {regime} do đơn vị không phải báo cáo theo danh mục gửi";
    /// Below statistics.
    LEFT_OUT_UNNAMED:
        "left out: {records} of a regime that the catalogue does not have; its name is for those who may read them",
        "không tính: {records} của một chế độ báo cáo không có trong danh mục; chỉ người được đọc mới biết tên chế độ";
    /// Below statistics.
    LEFT_OUT_MORE: "more is left out than is told here", "còn những bản ghi khác không được tính mà không kể ra ở đây";

    /// Wrong usage.
    USAGE: "the command is not used like that", "dùng lệnh chưa đúng cách";
    /// Wrong usage.
    USAGE_VALUE: "a value is not one that is allowed", "một giá trị không hợp lệ";
    /// Wrong usage.
    USAGE_UNKNOWN: "there is no such argument", "không có tham số này";
    /// Wrong usage.
    USAGE_COMMAND: "there is no such command", "không có lệnh này";
    /// Wrong usage.
    USAGE_CONFLICT: "these arguments don't go together", "các tham số này không dùng cùng nhau được";
    /// Wrong usage.
    USAGE_MISSING: "an argument is missing", "thiếu tham số bắt buộc";
    /// Wrong usage.
    USAGE_NUMBER: "too few or too many values", "thiếu hoặc thừa giá trị";
    /// Wrong usage.
    FROM_AFTER_TO:
        "--from {from} begins after --to {to} ends: expected the earlier period first",
        "--from {from} bắt đầu sau khi --to {to} kết thúc: kỳ sớm hơn phải đứng ở --from";
    /// Wrong usage.
    ORDER_NEEDS_SIDE:
        "--order period and period-descending need --regime, and --unit or --receiver; newest and oldest need nothing",
        "--order period và period-descending cần có --regime, cùng với --unit hoặc --receiver; newest và oldest thì không cần";
    /// Wrong usage.
    RETRY_WHICH:
        "expected ids of refused records, or --all; kho outbox list --refused lists them",
        "cần nêu mã các bản ghi bị từ chối, hoặc --all; kho outbox list --refused liệt kê các mã đó";
    /// Wrong usage.
    VERIFY_SWAPPED:
        "receipt and record are the other way round: kho verify --key VKEY ID.tlog-proof ID.record",
        "biên nhận và bản ghi bị đảo chỗ: kho verify --key VKEY ID.tlog-proof ID.record";

    /// Before a check.
    CHECK_OK: "ok", "đạt";
    /// Before a check.
    CHECK_FAILED: "FAILED", "HỎNG";
    /// Before a check.
    CHECK_SKIPPED: "skipped", "bỏ qua";
    /// Of a check that was not made.
    NO_TRUST:
        "give --trust to check the certificate and its unit",
        "dùng --trust để kiểm tra chứng thư và đơn vị của nó";
    /// Of a receipt and a key.
    OTHER_LOG:
        "the receipt is of another log than --key: expected {expected}, found {found}",
        "biên nhận thuộc nhật ký khác với --key: cần {expected}, thấy {found}";
    /// A check.
    CHECK_HEADER: "header", "phần đầu";
    /// A check.
    CHECK_PAYLOAD: "payload", "nội dung";
    /// A check.
    CHECK_BLOCK: "signature block", "khối chữ ký";
    /// A check.
    CHECK_CERTIFICATES: "certificates", "chứng thư";
    /// A check.
    CHECK_SIGNATURE: "signature", "chữ ký";
    /// A check.
    CHECK_SIGNER: "signer", "người ký";
    /// A check.
    CHECK_CHECKPOINT: "checkpoint", "điểm kiểm";
    /// A check.
    CHECK_INCLUSION: "inclusion", "có trong nhật ký";
    /// A check.
    CHECK_OF_RECORD: "receipt of the record", "biên nhận của bản ghi";
}

/// A check's name in a language; in English it is what errors call it, too.
pub fn check(name: &'static str, lang: Lang) -> &'static str {
    let all = [
        CHECK_HEADER,
        CHECK_PAYLOAD,
        CHECK_BLOCK,
        CHECK_CERTIFICATES,
        CHECK_SIGNATURE,
        CHECK_SIGNER,
        CHECK_CHECKPOINT,
        CHECK_INCLUSION,
        CHECK_OF_RECORD,
    ];
    all.into_iter().find(|check| check.of(Lang::En) == name).map_or(name, |check| check.of(lang))
}
