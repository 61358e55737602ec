//! The page's lower half: the fault, the records, the log, what the drill was told.

use std::fmt::Write;

use kho::page::{Values, escape};

use super::super::report::Report;

fn list(rows: &[(&str, String)]) -> String {
    let rows: String = rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    format!("<dl class=\"wide\">{rows}</dl>")
}

/// What was done to the cluster, and the proof that it took effect.
pub fn fault(report: &Report, v: &Values) -> String {
    let mended = report.fault.mended_ms.map_or("nothing to mend".to_owned(), |_| v.ms("/fault/mended_ms"));
    let rows = [
        ("took effect", v.yes("/fault/took_effect").to_owned()),
        ("begun", v.ms("/fault/begun_ms")),
        ("command or call returned", v.ms("/fault/done_ms")),
        ("mended", mended),
        (
            "leader before",
            format!("node {}, term {}", v.number("/fault/leader_before"), v.number("/fault/term_before")),
        ),
        ("leader after", format!("node {}, term {}", v.number("/fault/leader_after"), v.number("/fault/term_after"))),
        ("seen to lead, after the fault", v.ms("/fault/new_leader_seen_after_fault_ms")),
    ];
    let mut commands = String::new();
    for place in 0..v.count("/fault/commands") {
        let at = format!("/fault/commands/{place}");
        let _ = write!(
            commands,
            "<h3>{}</h3><pre>{}</pre><p>Exit code {}, after {}.</p>",
            v.text(&format!("{at}/what")),
            v.text(&format!("{at}/command")),
            v.number(&format!("{at}/exit_code")),
            v.ms(&format!("{at}/took_ms")),
        );
        let output = v.text(&format!("{at}/output"));
        if !output.is_empty() {
            let _ = write!(commands, "<pre>{output}</pre>");
        }
    }
    format!("<h2>The fault</h2><p class=\"soft\">Times since the load began.</p>{}{commands}", list(&rows))
}

/// What became of the records.
pub fn read_back(report: &Report, v: &Values) -> String {
    let mut rows = String::new();
    for place in 0..report.checks.nodes.len() {
        let at = format!("/checks/nodes/{place}");
        let cell = |part: &str| format!("<td class=\"n\">{}</td>", v.number(&format!("{at}/{part}")));
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td>{}{}{}</tr>",
            v.text(&format!("{at}/address")),
            v.yes(&format!("{at}/reachable")),
            cell("good"),
            cell("lost"),
            cell("unanswered"),
        );
    }
    let complaints: String = (0..v.count("/checks/complaints"))
        .map(|place| format!("<li>{}</li>", v.text(&format!("/checks/complaints/{place}"))))
        .collect();
    let complaints =
        if complaints.is_empty() { complaints } else { format!("<p>Complaints:</p><ul>{complaints}</ul>") };
    let facts = [
        ("acknowledged, settled ones included", v.number("/checks/records")),
        ("receipts that verify offline", v.number("/checks/receipts_verified")),
        ("receipts that do not", v.number("/checks/receipts_failed")),
        ("senders' certificates checked, too", v.yes("/checks/certificates_checked").to_owned()),
        ("all nodes have the same tree", v.yes("/checks/trees_equal").to_owned()),
    ];
    format!(
        "<h2>What became of the records</h2>{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Records read back\">\
         <table><thead><tr><th scope=\"col\">read back from</th><th scope=\"col\">answered</th><th scope=\"col\" class=\"n\">good</th>\
         <th scope=\"col\" class=\"n\">lost</th><th scope=\"col\" class=\"n\">unanswered</th></tr></thead><tbody>{rows}</tbody></table></div>{complaints}",
        list(&facts)
    )
}

/// Log and tree, before and after.
pub fn log(_: &Report, v: &Values) -> String {
    let rows = [
        ("told by node", "node_id"),
        ("term", "term"),
        ("last entry", "last_log"),
        ("committed", "committed"),
        ("applied", "applied"),
        ("leaves of the tree", "tree_size"),
    ];
    let row = |(name, field): &(&str, &str)| {
        let cell = |when: &str| format!("<td class=\"n\">{}</td>", v.number(&format!("/log/{when}/{field}")));
        format!("<tr><th scope=\"row\">{name}</th>{}{}</tr>", cell("before"), cell("after"))
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<h2>Log and tree</h2><table><thead><tr><td></td><th scope=\"col\" class=\"n\">before</th><th scope=\"col\" class=\"n\">after</th></tr></thead>\
         <tbody>{rows}</tbody></table><p>Root before: <code class=\"hex\">{}</code><br>Root after: <code class=\"hex\">{}</code></p>",
        v.text("/log/before/tree_root"),
        v.text("/log/after/tree_root"),
    )
}

/// Who led.
pub fn leaders(report: &Report, v: &Values) -> String {
    let row = |place: usize| {
        let at = format!("/leaders/{place}");
        format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            v.ms(&format!("{at}/at_ms")),
            v.number(&format!("{at}/node_id")),
            v.number(&format!("{at}/term"))
        )
    };
    let rows: String = (0..report.leaders.len()).map(row).collect();
    format!(
        "<h2>Who led</h2><table><thead><tr><th scope=\"col\">first seen</th><th scope=\"col\" class=\"n\">node</th>\
         <th scope=\"col\" class=\"n\">term</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

/// What the drill was told.
pub fn configuration(report: &Report, v: &Values) -> String {
    let c = |field: &str| format!("/configuration/{field}");
    let all = |pointer: &str, one: &dyn Fn(&str) -> String| {
        let all: Vec<_> = (0..v.count(pointer)).map(|place| one(&format!("{pointer}/{place}"))).collect();
        all.join(", ")
    };
    let rows = [
        ("voting members", all("/cluster/voters", &|at| v.number(at))),
        ("their versions", all("/cluster/versions", &|at| v.text(at))),
        ("unit and regime of the test records", format!("{}, {}", v.text(&c("unit")), v.text(&c("regime")))),
        ("senders", v.number(&c("writers"))),
        ("records per second", v.number(&c("rate_per_s"))),
        ("payload", v.with(&c("payload_bytes"), "bytes")),
        ("load before the fault", v.with(&c("before_s"), "s")),
        ("outage", v.with(&c("outage_s"), "s")),
        ("load after", v.with(&c("after_s"), "s")),
        ("deadline of a record", v.limit(&c("deadline_ms"), "ms")),
        ("time to be back, after the load", v.with(&c("recover_within_s"), "s")),
        ("forced", v.yes(&c("forced")).to_owned()),
        ("version of this command", escape(&report.kho_version)),
        ("schema of the JSON", escape(&report.schema)),
    ];
    format!("<h2>Configuration</h2>{}", list(&rows))
}

/// How it was measured.
pub fn method(_: &Report, _: &Values) -> String {
    "<h2>How it was measured</h2>\
     <p>Senders submit test records at a steady pace through the client library that reporting systems use, with its retries. A record \
     counts as acknowledged when its receipt has come and verifies; latency is from its first sending to that. A sender that waits \
     leaves out what was due meanwhile. The longest gap is taken over all senders together, from the last acknowledgement before to \
     the next; it can't be seen finer than the pace. An outcome that the client could not tell is settled by sending the same record \
     again. Lost means: acknowledged, and at the end not there, or not with the same bytes and leaf, on a node that answered. Who leads is \
     looked at every 50&nbsp;ms.</p>"
        .to_owned()
}
