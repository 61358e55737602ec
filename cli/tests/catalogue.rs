//! The commands of the catalogue and of statistics, over real processes.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod common;

use std::path::{Path, PathBuf};

use common::{ends, kho};
use kho::dev::{DevCluster, Options};
use serde_json::{Value, json};

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Scene {
    dir: tempfile::TempDir,
    cluster: DevCluster,
}

impl Scene {
    async fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { nodes: 3, ..Options::default() }.with_catalogue();
        let mut cluster = DevCluster::create_with(&dir.path().join("c"), &options).unwrap();
        cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
        cluster.launch().await.unwrap();
        Scene { dir, cluster }
    }

    fn config(&self) -> String {
        self.cluster.layout().client_file().to_str().unwrap().to_owned()
    }

    /// Certificate and key of a unit's signer.
    fn signer(&self, unit: &str) -> [String; 2] {
        self.cluster.signer(&unit.parse().unwrap()).unwrap();
        let (certificate, key) = self.cluster.layout().signer(&unit.parse().unwrap());
        [certificate, key].map(|path: PathBuf| path.to_str().unwrap().to_owned())
    }

    fn file(&self, name: &str, content: &Value) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn load(&self, path: &str, signer: &str, more: &[&str], code: i32) -> (String, String) {
        let [certificate, key] = self.signer(signer);
        let fixed = ["catalogue", "load", path, "--certificate", &certificate, "--key", &key, "--unit", signer];
        let config = self.config();
        ends(&[&fixed, more, &["--config", &config]].concat(), code)
    }
}

/// R-E1
#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_is_loaded_shown_compared_and_loaded_again() {
    let scene = Scene::new().await;
    let config = scene.config();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue");
    let folder = folder.to_str().unwrap();
    let json =
        |arguments: &[&str]| lines(&ends(&[arguments, &["--config", &config, "--format", "json"]].concat(), 0).0);

    let (_, told) = scene.load(folder, "VPCP", &["--dry-run"], 0);
    assert!(told.contains("116 of 116 entries would be recorded"), "{told}");
    assert!(json(&["catalogue", "list"]).is_empty(), "a dry run records nothing");
    // a foreign signer
    let (_, told) = scene.load(folder, "BYT", &[], 1);
    assert!(told.contains("[catalogue-forbidden]"), "{told}");
    let (_, told) = scene.load(folder, "VPCP", &[], 0);
    assert!(told.contains("116 of 116 entries were recorded"), "{told}");
    let (_, told) = scene.load(folder, "VPCP", &[], 0);
    assert!(told.contains("0 of 116 entries were recorded"), "{told}");
    assert_eq!(json(&["catalogue", "list"]).len(), 116);
    assert_eq!(json(&["catalogue", "list", "--kind", "regime"]).len(), 25);
    assert!(json(&["catalogue", "diff", folder]).is_empty());

    // a province is merged, another one's name was wrong
    let units = std::fs::read_to_string(Path::new(folder).join("units.json")).unwrap();
    let units: Vec<Value> = serde_json::from_str(&units).unwrap();
    let unit = |code: &str| units.iter().find(|unit| unit["code"] == code).unwrap().clone();
    let mut merged = unit("T02");
    merged["effective_from"] = json!("2020-07-01");
    merged["valid_to"] = json!("2020-06-30");
    merged["successors"] = json!(["T08"]);
    let mut renamed = unit("T04");
    renamed["name"]["en"] = json!("Cao Bang");
    let changes = scene.file("changes.json", &json!([merged, renamed]));
    let differs = json(&["catalogue", "diff", &changes]);
    let of = |change: &str| differs.iter().filter(|line| line["change"] == change).collect::<Vec<_>>();
    assert_eq!((of("new").len(), of("changed").len(), of("only in the cluster").len()), (1, 1, 115));
    assert_eq!(of("changed")[0]["members"], json!(["name"]));
    scene.load(&changes, "VPCP", &[], 0);
    let shown = json(&["catalogue", "show", "T04"]);
    assert_eq!((shown.len(), &shown[0]["revision"], &shown[0]["document"]), (1, &json!(2), &renamed));
    let between = json(&["catalogue", "diff", "--from", "2020-06-30", "--to", "2020-07-01"]);
    assert_eq!(between.len(), 1, "{between:?}");
    assert_eq!(
        (&between[0]["code"], &between[0]["members"]),
        (&json!("T02"), &json!(["effective_from", "successors", "valid_to"]))
    );
    let (table, _) = ends(&["catalogue", "list", "--kind", "unit", "--on", "2020-07-01", "--config", &config], 0);
    assert!(table.contains("Hà Giang") && table.contains("province to 2020-06-30"), "{table}");

    // mistakes are all told, and nothing is recorded
    let mut wrong = unit("T06");
    wrong["parent"] = json!("NOBODY");
    wrong["effective_from"] = json!("2020-01-01");
    let names = scene.file("names.json", &wrong);
    let (_, told) = scene.load(&names, "VPCP", &[], 1);
    assert!(told.contains("[catalogue-invalid]") && told.contains("no unit NOBODY"), "{told}");
    wrong["unit_kind"] = json!("?");
    wrong["valid_to"] = json!("2020-02-30");
    let rules = scene.file("rules.json", &json!([unit("T01"), wrong]));
    let (_, told) = scene.load(&rules, "VPCP", &[], 1);
    assert!(told.contains("rules.json[1]: unit_kind") && told.contains("rules.json[1]: valid_to"), "{told}");
    ends(&["catalogue", "show", "NOBODY", "--config", &config], 1);
    ends(&["catalogue", "diff", "--from", "2020-02-30", "--to", "2020-03-01", "--config", &config], 2);
    let (_, told) = ends(&["catalogue", "list", "--on", "x", "--config", &config], 2);
    assert!(told.contains("expected a day, such as 2020-06-30"), "{told}");
}

/// R-E2, R-D5
#[tokio::test(flavor = "multi_thread")]
async fn wrong_figures_are_told_and_statistics_are_printed() {
    let scene = Scene::new().await;
    let config = scene.config();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue");
    scene.load(folder.to_str().unwrap(), "VPCP", &[], 0);
    let out = scene.dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let report = |figures: Value| {
        let report = json!({"unit": "BYT", "regime": "YT-01", "period": "2020-06-12", "receivers": ["VPCP"], "figures": figures});
        let file = scene.file("report.json", &report);
        kho(&["submit", &file, "--config", &config, "--out", out.to_str().unwrap()])
    };
    let refused = report(json!({"new_cases": -1, "recovered": "5"}));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    for part in [
        "[figures-invalid]",
        "new_cases: “Ca mới” phải từ 0 đến 1000000, đang là -1 / \"new_cases\" must be from 0 to 1000000, and is -1",
        "recovered: “Khỏi bệnh” phải là số nguyên",
        "deaths: “Tử vong” chưa có giá trị",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(report(json!({"new_cases": 1, "recovered": 5, "deaths": 0})).status.success());

    let stats = |more: &[&str]| {
        let fixed = ["stats", "--from", "2020-06-12", "--to", "2020-06-13", "--regime", "YT-01", "--config", &config];
        ends(&[&fixed, more].concat(), 0)
    };
    let rows = lines(&stats(&["--by", "period", "--format", "json"]).0);
    let cells: Vec<_> =
        rows.iter().map(|row| (&row["period"], &row["late"], &row["missing"], &row["deadline"])).collect();
    let [first, second] = ["2020-06-13T12:00:00.000+07:00", "2020-06-14T12:00:00.000+07:00"].map(Value::from);
    assert_eq!(
        cells,
        [(&json!("2020-06-12"), &json!(1), &json!(0), &first), (&json!("2020-06-13"), &json!(0), &json!(1), &second)]
    );
    let (csv, told) = stats(&["--by", "total", "--format", "csv"]);
    assert_eq!(csv, "expected,on_time,late,missing,open,corrected,superseded,unscheduled,records\n2,0,1,1,0,0,0,0,1\n");
    assert!(told.contains("as of 20"), "{told}");
    assert!(stats(&["--unit", "BYT"]).0.contains("BYT"));
    let (_, told) = ends(&["stats", "--from", "2020-06", "--to", "2020-05", "--config", &config], 2);
    assert!(told.contains("expected the earlier period first"), "{told}");
    let (_, told) = stats(&["--regime", "X-01"]);
    assert!(told.contains("the catalogue has no regime X-01") && !told.contains("left out"), "{told}");
}

/// R-D5: numbers that leave something out say so.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_tell_what_they_leave_out() {
    let scene = Scene::new().await;
    let config = scene.config();
    let out = scene.dir.path().join("out");
    for (regime, period) in
        [("YT-01", "2020-06-12"), ("X-01", "2020-06-12"), ("X-01", "2020-06-13"), ("X-01", "2021-01-01")]
    {
        let report = json!({"unit": "BYT", "regime": regime, "period": period, "text": "x"});
        let file = scene.file("report.json", &report);
        ends(&["submit", &file, "--config", &config, "--out", out.to_str().unwrap()], 0);
    }
    let fixed = ["stats", "--from", "2020-06", "--to", "2020-06", "--config", &config];
    let stats = |more: &[&str]| ends(&[&fixed, more].concat(), 0);
    let (rows, told) = stats(&["--format", "csv"]);
    assert_eq!(rows.lines().count(), 1, "{rows}");
    for line in [
        "no catalogue is loaded: nothing is expected",
        "left out: 2 records of regime X-01, which the catalogue does not have",
        "left out: 1 record of regime YT-01, which the catalogue does not have",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }

    let example = scene.dir.path().join("catalogue.json");
    std::fs::write(&example, ends(&["catalogue", "example"], 0).0).unwrap();
    scene.load(example.to_str().unwrap(), "VPCP", &[], 0);
    let (_, told) = stats(&[]);
    assert!(
        told.contains("2 records of regime X-01, which") && !told.contains("YT-01") && !told.contains("loaded"),
        "{told}"
    );
    assert!(!stats(&["--regime", "YT-01"]).1.contains("left out"));
    assert!(!stats(&["--unit", "VPCP"]).1.contains("left out"));
    assert!(!ends(&["stats", "--from", "2022", "--to", "2022", "--config", &config], 0).1.contains("left out"));
}
