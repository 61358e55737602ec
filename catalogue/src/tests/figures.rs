//! Figures against limits, checks, lists and conditions: every wrong field, in both languages.

use kho_proto::fields::FIELDS_MAX;

use super::*;

fn good() -> Value {
    json!({"province": "T01", "accidents": 5, "deaths": 1, "road": 3, "rail": 2, "loss": "0.50", "cause": "rượu bia"})
}

fn errors(rows: &Value) -> Vec<(String, String, String)> {
    let Err(refusal) = judge("BYT", "ATGT-01", "2020-06-12", &rows.to_string()) else { return Vec::new() };
    assert_eq!(refusal.code, Code::FiguresInvalid);
    let fields = refusal.fields.kept().iter();
    fields.map(|error| (error.path.clone(), error.message_vi.clone(), error.message_en.clone())).collect()
}

fn one(more: Value) -> (String, String, String) {
    let mut errors = errors(&json!([with(good(), more.clone())]));
    assert_eq!(errors.len(), 1, "{more}: {errors:?}");
    errors.remove(0)
}

/// R-E2
#[test]
fn each_rule_names_its_field_in_vietnamese_and_english() {
    assert_eq!(errors(&json!([good()])), []);
    assert_eq!(errors(&json!([])), [], "a table may be empty");
    for (more, path, vi, en) in [
        (
            json!({"deaths": -1}),
            "rows[0].deaths",
            "dòng 1: “Số người chết” phải từ 0 đến 1000, đang là -1",
            "row 1: \"Deaths\" must be from 0 to 1000, and is -1",
        ),
        (
            json!({"loss": "10.01"}),
            "rows[0].loss",
            "dòng 1: “Thiệt hại” phải từ -5.00 đến 10.00, đang là 10.01",
            "row 1: \"loss\" must be from -5.00 to 10.00, and is 10.01",
        ),
        (
            json!({"loss": "1.5"}),
            "rows[0].loss",
            "dòng 1: “Thiệt hại” phải là chuỗi số có đúng 2 chữ số sau dấu chấm",
            "row 1: \"loss\" must be a string with exactly 2 digits after the point",
        ),
        (
            json!({"loss": 1.5}),
            "rows[0].loss",
            "dòng 1: “Thiệt hại” phải là chuỗi số có đúng 2 chữ số sau dấu chấm",
            "row 1: \"loss\" must be a string with exactly 2 digits after the point",
        ),
        (
            json!({"cause": "mưa"}),
            "rows[0].cause",
            "dòng 1: “Nguyên nhân” không nằm trong danh sách cho phép: \"mưa\"",
            "row 1: \"cause\" is not in its list: \"mưa\"",
        ),
        (
            json!({"cause": "khác"}),
            "rows[0].other",
            "dòng 1: “Ghi rõ” phải có khi “Nguyên nhân” là “khác”",
            "row 1: \"Which\" must be given as \"cause\" is \"khác\"",
        ),
        (
            json!({"cause": "khác", "other": " "}),
            "rows[0].other",
            "dòng 1: “Ghi rõ” phải có khi “Nguyên nhân” là “khác”",
            "row 1: \"Which\" must be given as \"cause\" is \"khác\"",
        ),
        (
            json!({"other": "một hai ba bốn năm"}),
            "rows[0].other",
            "dòng 1: “Ghi rõ” không được quá 4 từ, đang có 5 từ",
            "row 1: \"Which\" must have at most 4 words, and has 5",
        ),
        (
            json!({"province": "BYT"}),
            "rows[0].province",
            "dòng 1: “Địa phương” là đơn vị không thuộc loại được phép: \"BYT\"",
            "row 1: \"Province\" is a unit of another kind: \"BYT\"",
        ),
        (
            json!({"province": "T77"}),
            "rows[0].province",
            "dòng 1: “Địa phương” không có trong danh mục đơn vị: \"T77\"",
            "row 1: \"Province\" is no unit of the catalogue: \"T77\"",
        ),
        (
            json!({"road": 4}),
            "rows[0].accidents",
            "dòng 1: cần Số vụ = Đường bộ + Đường sắt, nhưng hai vế là 5 và 6",
            "row 1: expected Accidents = road + rail, but the sides are 5 and 6",
        ),
        (
            json!({"deaths": 6}),
            "rows[0].deaths",
            "dòng 1: cần Số người chết <= Số vụ, nhưng hai vế là 6 và 5",
            "row 1: expected Deaths <= Accidents, but the sides are 6 and 5",
        ),
        (
            json!({"weather": 1}),
            "rows[0].weather",
            "dòng 1: chỉ tiêu \"weather\" không có trong chế độ báo cáo",
            "row 1: the regime has no field \"weather\"",
        ),
        (
            json!({"province": null}),
            "rows[0].province",
            "dòng 1: “Địa phương” chưa có giá trị",
            "row 1: \"Province\" has no value",
        ),
        (
            json!({"cause": "khác", "other": "đa\u{303}"}),
            "rows[0].other",
            "dòng 1: “Ghi rõ” phải viết theo chuẩn Unicode dựng sẵn (NFC)",
            "row 1: \"Which\" must be written in Unicode's form NFC",
        ),
    ] {
        assert_eq!(one(more), (path.to_owned(), vi.to_owned(), en.to_owned()));
    }
}

#[test]
fn every_wrong_field_is_named_in_the_order_of_rows_and_fields() {
    let rows = json!([
        with(good(), json!({"accidents": "5", "deaths": 1.5, "cause": 7})),
        good(),
        {"province": "T02", "rail": -3, "extra": true},
        "a text",
    ]);
    let paths: Vec<String> = errors(&rows).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(
        paths,
        [
            "rows[0].accidents",
            "rows[0].deaths",
            "rows[0].cause",
            "rows[2].extra",
            "rows[2].accidents",
            "rows[2].deaths",
            "rows[2].road",
            "rows[2].cause",
            "rows[3]"
        ]
    );
}

#[test]
fn as_many_as_there_are_is_told_and_not_more_are_kept() {
    let rows: Vec<Value> = std::iter::repeat_n(json!({}), 100).collect();
    let refused = judge("BYT", "ATGT-01", "2020-06-12", &json!(rows).to_string()).expect_err("empty rows");
    assert_eq!((refused.fields.kept().len(), refused.fields.total()), (FIELDS_MAX, 600));
    assert!(refused.message.starts_with("600 of the figures' fields"), "{}", refused.message);
}

#[test]
fn what_is_no_table_is_refused_as_a_whole() {
    let path = |payload: &str| {
        let refused = judge("BYT", "ATGT-01", "2020-06-12", payload).expect_err(payload);
        assert_eq!(refused.code, Code::FiguresInvalid, "{payload}");
        refused.fields.kept().iter().map(|error| error.path.clone()).collect::<Vec<_>>()
    };
    let deep = "[".repeat(1_000);
    for payload in ["", "{}", "[", "7", "null", r#"[{"deaths":1,"deaths":2}]"#, r#"[{"deaths":1e400}]"#, &deep] {
        assert_eq!(path(payload), [""], "{payload}");
    }
    assert_eq!(path(r#"[{"deaths":123456789012345678901234567890}]"#), [""]);
    let header = header("BYT", "ATGT-01", "2020-06-12", "", "text/plain; charset=utf-8");
    let refused = catalogue(&documents()).judge(u64::MAX, &header, b"[]", NOW).expect_err("no JSON");
    assert_eq!(refused.fields.kept()[0].path, "media_type");
    let invalid = catalogue(&documents()).judge(
        u64::MAX,
        &super::header("BYT", "ATGT-01", "2020-06-12", "", "application/json"),
        b"[{\"a\":\"\xff\"}]",
        NOW,
    );
    assert_eq!(code(invalid), Some(Code::FiguresInvalid), "invalid UTF-8");
}

#[test]
fn a_field_names_units_of_the_periods_time() {
    let row = |period: &str, unit: &str| {
        let rows = json!([with(good(), json!({"province": unit}))]);
        code(judge("BYT", "ATGT-01", period, &rows.to_string()))
    };
    assert_eq!(row("2020-06-30", "T02"), None);
    assert_eq!(row("2020-07-01", "T02"), Some(Code::FiguresInvalid));
    assert_eq!(row("2020-02-29", "T03"), Some(Code::FiguresInvalid));
}

/// A table in which all is wrong is told of in the time that one with some mistakes takes; and one without end is not built.
#[test]
fn a_table_of_mistakes_has_an_end() {
    let refused = |rows: &str| judge("BYT", "ATGT-01", "2020-06-12", rows).unwrap_err();
    let wrong = refused(&format!("[{}]", vec!["{}"; 90_000].join(",")));
    assert_eq!((wrong.code, wrong.fields.kept().len()), (Code::FiguresInvalid, FIELDS_MAX));
    assert!((1_000..1_020).contains(&wrong.fields.total()), "{}", wrong.fields.total());
    let endless = refused(&format!("[{}]", vec!["{}"; 100_001].join(",")));
    assert_eq!((endless.code, endless.fields.total()), (Code::FiguresInvalid, 1));
    assert!(endless.fields.kept()[0].message_en.contains("too many values"), "{endless:?}");
}
