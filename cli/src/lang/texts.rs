//! The texts.

use super::Text;

/// Texts that are in both languages, and a list of them.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $en:literal, $vi:literal;)*) => {
        $($(#[$doc])* pub const $name: Text = Text { en: $en, vi: $vi };)*
        /// All of them, with their names.
        #[cfg(test)]
        pub const ALL: &[(&str, Text)] = &[$((stringify!($name), $name),)*];
    };
}

texts! {
    /// Before an error.
    ERROR: "error", "lỗi";
    /// What became of many reports.
    SUMMARY:
        "{total} reports: {accepted} accepted, {there} there already, {done} done by an earlier run, {refused} refused, {unknown} unknown, {held} not sent",
        "{total} báo cáo: {accepted} được tiếp nhận, {there} đã có trong kho, {done} đã xong ở lần chạy trước, {refused} bị từ chối, {unknown} chưa rõ kết quả, {held} chưa gửi";
    /// How many were refused with a code.
    REFUSED: "refused: {count} {code}", "bị từ chối: {count} {code}";
    /// What to do about refused reports.
    MEND: "some reports were refused: mend them, and run it again", "một số báo cáo bị từ chối: hãy sửa rồi chạy lại lệnh này";
    /// What to do about reports without an answer.
    AGAIN:
        "not all reports have their answer: run it again as it is, and it goes on; none is stored twice",
        "chưa phải báo cáo nào cũng có kết quả: hãy chạy lại đúng lệnh này, lệnh sẽ làm tiếp phần còn lại; không báo cáo nào bị lưu hai lần";
    /// On a progress bar.
    REPORTS: "reports: {count}", "báo cáo: {count}";
    /// A number of records.
    RECORD_ONE: "1 record", "1 bản ghi";
    /// A number of records.
    RECORD_MANY: "{count} records", "{count} bản ghi";
    /// A number of entries of the catalogue.
    ENTRY_ONE: "1 entry", "1 mục";
    /// A number of entries of the catalogue.
    ENTRY_MANY: "{count} entries", "{count} mục";
    /// Of a comparison of catalogues.
    DIFFER: "differing: {entries}", "khác nhau: {entries}";
    /// How new an answer is.
    FRESH: "of {size} leaves, by node {node}", "trong nhật ký {size} lá, do nút {node} trả lời";
    /// How new an answer is.
    STALE: "stale, {age} ms old at most", "có thể cũ, chậm nhất {age} ms";
    /// How new an answer is.
    STALE_UNKNOWN:
        "stale, of unknown age: the node has heard of no leader since it started",
        "có thể cũ, không rõ chậm bao lâu: từ khi khởi động nút chưa thấy nút dẫn đầu nào";
    /// Below a count.
    COUNTED_OF: "counted {of}", "đã đếm {of}";

    /// Heading.
    SEQUENCE: "sequence", "số thứ tự";
    /// Heading.
    ACCEPTED_AT: "accepted at", "tiếp nhận lúc";
    /// Heading.
    UNIT: "unit", "đơn vị";
    /// Heading.
    REGIME: "regime", "chế độ báo cáo";
    /// Heading.
    PERIOD: "period", "kỳ báo cáo";
    /// Heading.
    SERIES: "series", "đối tượng";
    /// Heading.
    RECEIVERS: "receivers", "nơi nhận";
    /// Heading.
    REVISION: "revision", "lần sửa";
    /// Heading.
    STATE: "state", "trạng thái";
    /// Heading.
    RECORD_ID: "record id", "mã bản ghi";
    /// Heading.
    LEAF_HASH: "leaf hash", "mã băm của lá";
    /// State of a record.
    LATEST: "latest", "mới nhất";
    /// State of a record.
    SUPERSEDED: "superseded", "đã bị thay thế";

    /// Heading.
    DEADLINE: "deadline", "hạn nộp";
    /// Heading.
    EXPECTED: "expected", "phải nộp";
    /// Heading.
    ON_TIME: "on time", "đúng hạn";
    /// Heading.
    LATE: "late", "nộp muộn";
    /// Heading.
    MISSING: "missing", "còn thiếu";
    /// Heading.
    OPEN: "open", "chưa đến hạn";
    /// Heading.
    CORRECTED: "corrected", "đã đính chính";
    /// Heading.
    UNSCHEDULED: "unscheduled", "ngoài kế hoạch";
    /// Heading.
    COUNTED: "records", "số bản ghi";
    /// The last row of statistics.
    TOTAL: "all", "tổng";
}
