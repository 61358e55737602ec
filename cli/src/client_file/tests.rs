use kho_proto::error::Code;

use super::*;

fn file(deadline_ms: u64) -> ClientFile {
    let text =
        format!("nodes = []\ndeadline_ms = {deadline_ms}\n[tls]\ncertificate = \"c\"\nkey = \"k\"\ntrust = \"t\"\n");
    toml::from_str(&text).expect("a client file")
}

/// One that hangs has not the whole call for itself.
#[test]
fn a_deadline_has_the_time_to_ask_three_nodes() {
    for deadline_ms in [750, 1000, 3000, 60_000] {
        let timing = file(deadline_ms).timing().expect("in range");
        assert_eq!(timing.deadline, Duration::from_millis(deadline_ms));
        assert!(timing.attempt * 3 <= timing.deadline && timing.attempt * 4 > timing.deadline, "{timing:?}");
    }
}

#[test]
fn a_deadline_out_of_range_is_refused() {
    assert_eq!(file(200).timing().expect("the least").deadline, Duration::from_millis(200));
    for bad in [0, 79, 199, 600_001] {
        let error = file(bad).timing().expect_err("out of range");
        assert!(error.to_string().contains("deadline_ms"), "{error}");
        assert_eq!(error.code(), Code::ConfigInvalid);
    }
}
