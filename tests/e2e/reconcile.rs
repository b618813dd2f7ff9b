//! An office cleans its own list with the command.

use std::{fmt::Write, fs};

use dancu_tests::testkit::{Agreement, Hub, people};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_cleaned() {
    let hub = Hub::start().await;
    let people = people(81, 3_000);
    hub.import(&people).await;
    let agreement = Agreement {
        id: "cleaning".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: ["full_name", "date_of_birth", "sex"].map(str::to_owned).into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    };
    hub.apply(&agreement).await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;

    let mut list = "STT;Số CCCD;Họ và tên;Ngày sinh;Giới tính;Ghi chú\n".to_owned();
    for (number, one) in people.iter().enumerate() {
        let mut name = one.full_name.as_ref().unwrap().full();
        let born = one.date_of_birth.unwrap();
        let mut born = if born.day > 0 {
            format!("{}/{}/{}", born.day, born.month, born.year)
        } else {
            born.to_string()
        };
        let mut id = one.personal_id.clone();
        match number % 100 {
            0 => name = dancu_proto::name::unmarked(&name),
            1 => name.push_str(" Khác"),
            2 => id = "001099999999".into(),
            3 => id = "12".into(),
            4 => born = "hôm qua".into(),
            _ => {}
        }
        writeln!(list, "{number};{id};{};{born};{};=ghi chú", name.to_uppercase(), one.sex).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("list.csv"), &list).unwrap();
    let why = ["--purpose", "p", "--case", "R-1", "--officer", "lan"];
    let run = async |more: &[&str]| {
        let (file, out) = (path("list.csv"), path("out.csv"));
        let args = [&["reconcile", &file, "--out", &out], &why[..], more].concat();
        node.cli(&args).await
    };
    // Comparing is an operation of its own.
    let refused = run(&[]).await.unwrap_err();
    assert!(refused.contains("reconcile"), "{refused}");
    let mut document = Agreement { version: 2, ..agreement }.document();
    document = document.replace("\"verify\"", "\"verify\", \"reconcile\"");
    fs::write(path("v2.toml"), document).unwrap();
    hub.cli(&["agreement", "apply", &path("v2.toml")]).await.unwrap();
    node.reaches(hub.head().await).await;

    let tally: Value = serde_json::from_str(&run(&["--json", "--disclose"]).await.unwrap()).unwrap();
    assert_eq!(tally["records"], 3_000);
    let outcomes = &tally["outcomes"];
    assert_eq!((&outcomes["not_found"], &outcomes["invalid"]), (&30.into(), &60.into()), "{tally}");
    let dead = outcomes["deceased"].as_u64().unwrap_or(0);
    assert_eq!(dead, 0, "the agreement does not tell of deaths");
    let differs = outcomes["differs"].as_u64().unwrap();
    assert!((30..=60).contains(&differs), "a name without marks may be the name: {tally}");
    assert_eq!(tally["fields"]["full_name"]["differs"], 30, "{tally}");
    assert_eq!(tally["fields"]["sex"]["differs"], 0, "{tally}");

    let mut rows = csv::ReaderBuilder::new().from_path(path("out.csv")).unwrap();
    let header = rows.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|title| title == name).unwrap();
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3_000);
    for (number, (row, one)) in rows.iter().zip(&people).enumerate() {
        assert_eq!(
            (&row[0], &row[5]),
            (number.to_string().as_str(), "=ghi chú"),
            "what came in is untouched"
        );
        let outcome = &row[column("dancu_outcome")];
        match number % 100 {
            1 => {
                assert_eq!(outcome, "differs");
                assert_eq!(&row[column("dancu_fields")], "full_name: mismatch");
                assert_eq!(row[column("dancu_full_name")], one.full_name.as_ref().unwrap().full());
            }
            2 => assert_eq!(outcome, "not_found"),
            3 => assert!(outcome == "invalid" && row[column("dancu_note")].contains("12 digits")),
            4 => assert!(outcome == "invalid" && row[column("dancu_note")].contains("hôm qua")),
            0 => {}
            _ => assert_eq!(outcome, "confirmed", "{row:?}"),
        }
    }
    let table = run(&[]).await.unwrap();
    assert!(table.contains("Khớp hoàn toàn") && table.contains("Sai dấu"), "{table}");
    let again = run(&["--resume"]).await.unwrap_err();
    assert!(again.contains("nothing to resume"), "{again}");
}
