use std::path::Path;

use kho_proto::error::Code;

use super::{Config, Error};

const GOOD: &str = r#"
cluster_id = "0192f0c1-0000-7000-8000-000000000001"
node_id = 1
data_dir = "data/node1"
keyring = "/etc/kho/keyring"
[listen]
client = "127.0.0.1:7101"
peer = "127.0.0.1:7102"
admin = "127.0.0.1:7103"
[tls.client]
certificate = "client.pem"
key = "client.key"
trust = "client-ca.pem"
[tls.peer]
certificate = "peer.pem"
key = "peer.key"
trust = "peer-ca.pem"
[tls.admin]
certificate = "admin.pem"
key = "admin.key"
trust = "admin-ca.pem"
[signers]
trust = "signers-ca.pem"
[[members]]
id = 1
client = "127.0.0.1:7101"
peer = "127.0.0.1:7102"
admin = "127.0.0.1:7103"
"#;

fn check(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new("/srv/kho"))
}

#[test]
fn relative_paths_are_relative_to_the_file_and_defaults_apply() {
    let config = check(GOOD).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/kho/data/node1"));
    assert_eq!(config.tls.peer.trust, Path::new("/srv/kho/peer-ca.pem"));
    assert_eq!(config.tls.client.crl, None);
    let listed = GOOD.replace("trust = \"client-ca.pem\"\n", "trust = \"client-ca.pem\"\ncrl = \"client.crl\"\n");
    assert_eq!(check(&listed).unwrap().tls.client.crl.as_deref(), Some(Path::new("/srv/kho/client.crl")));
    assert_eq!(config.signers.trust, Path::new("/srv/kho/signers-ca.pem"));
    assert_eq!(config.keyring.as_deref(), Some(Path::new("/etc/kho/keyring")));
    assert_eq!(config.telemetry.log, "info");
    assert!(config.raft.election_timeout_min_ms >= 2 * config.raft.heartbeat_ms);
}

#[test]
fn an_unknown_field_is_named_wherever_it_stands() {
    for (place, field) in
        [("node_id = 1", "nodeid"), ("[listen]", "clients"), ("[signers]", "roots"), ("id = 1\n", "zone")]
    {
        let at = GOOD.find(place).unwrap() + place.len();
        let text = format!("{}\n{field} = \"x\"\n{}", &GOOD[..at], &GOOD[at..]);
        let error = check(&text).unwrap_err();
        assert_eq!(error.code(), Code::ConfigInvalid);
        assert!(error.to_string().contains(&format!("unknown field `{field}`")), "{error}");
    }
    let error = check(&format!("{GOOD}[rafts]\nheartbeat_ms = 50\n")).unwrap_err();
    assert!(error.to_string().contains("rafts"), "{error}");
}

#[test]
fn a_missing_field_is_named() {
    let error = check(&GOOD.replace("node_id = 1\n", "")).unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(error.to_string().contains("node_id"), "{error}");
}

#[test]
fn a_value_out_of_its_range_is_named_with_the_range() {
    let cases = [
        ("node_id = 1", "node_id = 0", "node_id: expected 1 to 4294967295, found 0"),
        ("node_id = 1", "node_id = 7", "node_id: expected one of the members' ids (1), found 7"),
        ("client = \"127.0.0.1:7101\"", "client = \"127.0.0.1\"", "listen.client: expected host:port"),
        ("peer = \"127.0.0.1:7102\"", "peer = \"127.0.0.1:0\"", "listen.peer: expected host:port"),
        ("[signers]", "[raft]\nheartbeat_ms = 1\n[signers]", "raft.heartbeat_ms: expected 10 to 5000, found 1"),
        (
            "[signers]",
            "[raft]\nheartbeat_ms = 200\n[signers]",
            "raft.election_timeout_min_ms: expected 400 to 60000, found 160",
        ),
        (
            "[signers]",
            "[storage]\nblock_cache_mib = 1\n[signers]",
            "storage.block_cache_mib: expected 4 to 1048576, found 1",
        ),
        (
            "[signers]",
            "[limits]\nqueue_records = 0\n[signers]",
            "limits.queue_records: expected 16 to 1048576, found 0",
        ),
        ("[signers]", "[disk]\nreserve_percent = 91\n[signers]", "disk.reserve_percent: expected 0 to 90, found 91"),
        (
            "[signers]",
            "[quotas]\nrecords_burst = 0\n[signers]",
            "quotas.records_burst: expected 1 to 1099511627776, found 0",
        ),
        (
            "[signers]",
            "[quotas.units.BYT]\nbytes_burst = 0\n[signers]",
            "quotas.units.BYT.bytes_burst: expected 1 to 1099511627776, found 0",
        ),
        (
            "[signers]",
            "[quotas.units.\"no code\"]\nbytes_burst = 1\n[signers]",
            "quotas.units: expected codes of units, found \"no code\"",
        ),
    ];
    for (from, to, message) in cases {
        let error = check(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.code(), Code::ConfigOutOfRange, "{to}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn the_public_log_has_an_address_and_a_certificate_or_neither() {
    let config = check(GOOD).unwrap();
    assert!(config.listen.log.is_none() && config.tls.log.is_none());
    let listens = GOOD.replacen("[tls.client]", "log = \"127.0.0.1:7104\"\n[tls.client]", 1);
    let with =
        listens.replacen("[signers]", "[tls.log]\ncertificate = \"log.pem\"\nkey = \"/k/log.key\"\n[signers]", 1);
    let config = check(&with).unwrap();
    assert_eq!(config.listen.log.as_deref(), Some("127.0.0.1:7104"));
    let files = config.tls.log.unwrap();
    assert_eq!(
        (files.certificate.as_path(), files.key.as_path()),
        (Path::new("/srv/kho/log.pem"), Path::new("/k/log.key"))
    );
    for (text, message) in [
        (listens, "tls.log: expected certificate and key, as listen.log is set, found none"),
        (
            with.replacen("log = \"127.0.0.1:7104\"\n", "", 1),
            "listen.log: expected host:port, as tls.log is set, found none",
        ),
        (with.replacen("127.0.0.1:7104", "127.0.0.1", 1), "listen.log: expected host:port"),
        (
            with.replacen("[signers]", "[limits]\nlog_connections = 0\n[signers]", 1),
            "limits.log_connections: expected 1 to 16384",
        ),
    ] {
        let error = check(&text).unwrap_err();
        assert_eq!(error.code(), Code::ConfigOutOfRange, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let trusting = with.replacen("key = \"/k/log.key\"", "key = \"/k/log.key\"\ntrust = \"ca.pem\"", 1);
    assert_eq!(check(&trusting).unwrap_err().code(), Code::ConfigInvalid, "it asks nobody for a certificate");
}

#[test]
fn the_keeper_of_the_catalogue_is_a_unit() {
    assert_eq!(check(GOOD).unwrap().catalogue.keeper(), None, "by default there is no catalogue");
    let kept =
        |unit: &str| check(&GOOD.replacen("[signers]", &format!("[catalogue]\nunit = \"{unit}\"\n[signers]"), 1));
    assert_eq!(kept("VPCP").unwrap().catalogue.keeper().unwrap().as_str(), "VPCP");
    for wrong in ["", "Văn phòng", "DRILL"] {
        let error = kept(wrong).unwrap_err();
        assert_eq!(error.code(), Code::ConfigOutOfRange, "{wrong}");
        assert!(error.to_string().contains("catalogue.unit"), "{error}");
    }
}

#[test]
fn twice_the_same_member_is_refused() {
    let member = &GOOD[GOOD.find("[[members]]").unwrap()..];
    let error = check(&format!("{GOOD}{member}")).unwrap_err();
    assert_eq!(error.code(), Code::ConfigOutOfRange);
    assert!(error.to_string().contains("members[1].id"), "{error}");
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::load(Path::new("/nonexistent/node.toml")).unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(error.to_string().contains("/nonexistent/node.toml"));
}

#[test]
fn errors_of_a_file_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    std::fs::write(&path, GOOD.replace("node_id = 1", "node_id = 0")).unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(error.to_string().contains("node.toml: node_id"), "{error}");
}
