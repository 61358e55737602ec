use kho_proto::error::Code;

use super::*;

#[test]
fn a_deadline_out_of_range_is_refused() {
    let file = |deadline_ms: u64| {
        let text = format!(
            "nodes = []\ndeadline_ms = {deadline_ms}\n[tls]\ncertificate = \"c\"\nkey = \"k\"\ntrust = \"t\"\n"
        );
        toml::from_str::<ClientFile>(&text).expect("a client file")
    };
    assert_eq!(file(200).timing().expect("the least").deadline, Duration::from_millis(200));
    for bad in [0, 79, 199, 600_001] {
        let error = file(bad).timing().expect_err("out of range");
        assert!(error.to_string().contains("deadline_ms"), "{error}");
        assert_eq!(error.code(), Code::ConfigInvalid);
    }
}
