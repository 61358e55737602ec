use super::*;

#[test]
fn ports_of_the_public_log_stand_behind_all_others() {
    let options = Options { base_port: Some(7101), hosts: vec![Ipv4Addr::new(10, 0, 0, 1)], ..Options::default() };
    let members = addresses(&options).unwrap();
    let all: Vec<_> = members.iter().map(|member| [&member.client, &member.peer, &member.admin]).collect();
    assert_eq!(all[0], ["10.0.0.1:7101", "10.0.0.1:7102", "10.0.0.1:7103"]);
    assert_eq!(
        all[2],
        ["127.0.0.1:7107", "127.0.0.1:7108", "127.0.0.1:7109"],
        "where they were before there was a log"
    );
    let logs: Vec<_> = members.iter().filter_map(|member| member.log.as_deref()).collect();
    assert_eq!(logs, ["10.0.0.1:7110", "127.0.0.1:7111", "127.0.0.1:7112"]);
    let options = Options { base_port: Some(65_530), ..Options::default() };
    assert!(matches!(addresses(&options), Err(Error::Ports { wanted: 12, .. })));
}

#[test]
fn a_cluster_from_before_there_was_a_log_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    let text = "cluster_id = \"0192f0c1-0000-7000-8000-000000000001\"\n[[members]]\nid = 1\nclient = \"127.0.0.1:7101\"\n\
                peer = \"127.0.0.1:7102\"\nadmin = \"127.0.0.1:7103\"\n";
    write(&layout.cluster_file(), text).unwrap();
    let cluster = open(&layout).unwrap();
    assert_eq!(cluster.members[0].log, None);
    write_node_file(&layout, &cluster, &cluster.members[0], &toml::Table::new()).unwrap();
    let config = kho_node::Config::load(&layout.node_file(NodeId(1))).unwrap();
    assert!(config.listen.log.is_none() && config.tls.log.is_none());
}
