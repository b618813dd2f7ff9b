//! A Python client, with stubs generated from the `.proto` files, calls a running node over TLS.

use std::{path::PathBuf, process::Command};

use dancu_tests::testkit::{Agreement, Hub, people};

/// Runs a command; what it printed, or nothing if it cannot be run or fails.
pub(super) fn run(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An interpreter with the gRPC tools, made once beside what cargo builds.
pub(super) fn python() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let target = test.ancestors().find(|dir| dir.join("release").is_dir())?;
    let home = target.join("python");
    let python = home.join("bin/python");
    let check = ["-c", "import grpc_tools"];
    if run(Command::new(&python).args(check)).is_none() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "grpcio-tools"]))?;
        run(Command::new(&python).args(check))?;
    }
    Some(python)
}

#[tokio::test]
async fn a_python_client_calls_a_node() {
    let Some(python) = python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and grpcio-tools is needed");
        println!("skipped: python3 with venv, or the package grpcio-tools, cannot be had here");
        return;
    };
    let hub = Hub::start().await;
    let people = people(21, 2_000);
    hub.import(&people).await;
    let agreement = Agreement {
        id: "python".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: ["full_name", "date_of_birth", "sex"].map(str::to_owned).into(),
        provinces: vec!["79".into()],
        communes: Vec::new(),
        offline_limit: "1d".into(),
    };
    hub.apply(&agreement).await;
    let node = hub.enroll("node", "agency").await;
    let dir = tempfile::tempdir().unwrap();
    let client = dir.path().join("client");
    let out = client.to_str().unwrap();
    node.cli(&["client", "add", "--name", "python", "--purposes", "p", "--out", out]).await.unwrap();
    node.reaches(hub.head().await).await;

    // Asked at run time: a build may be shared by several copies of the tree.
    let tests = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let proto = tests.join("../proto");
    let files = [
        "dancu/v1/citizen.proto",
        "dancu/v1/access.proto",
        "dancu/v1/area.proto",
        "dancu/v1/signed.proto",
        "dancu/node/v1/citizen_service.proto",
        "dancu/node/v1/node_service.proto",
    ];
    let stubs = dir.path().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let mut protoc = Command::new(&python);
    protoc.args(["-m", "grpc_tools.protoc"]).arg(format!("-I{}", proto.display()));
    protoc.arg(format!("--python_out={}", stubs.display()));
    protoc.arg(format!("--grpc_python_out={}", stubs.display())).args(files).current_dir(&proto);
    run(&mut protoc).expect("stubs");

    let province = |code: &str| {
        let lives = |p: &&dancu_proto::v1::Citizen| {
            let home = p.permanent_residence.as_ref().is_some_and(|home| home.province == code);
            home && p.temporary_residence.is_none()
        };
        people.iter().find(lives).unwrap()
    };
    let (known, unknown) = (province("79"), province("24"));
    let name = known.full_name.as_ref().unwrap().full();
    // The node notices the new client within seconds.
    let mut printed = None;
    for _ in 0..10 {
        let mut command = Command::new(&python);
        command.arg(tests.join("e2e/python/client.py"));
        command.args([&node.address, out, "p", &known.personal_id, &unknown.personal_id, &name]);
        command.arg(known.date_of_birth.unwrap().year.to_string()).env("PYTHONPATH", &stubs);
        printed = run(&mut command);
        if printed.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let result: serde_json::Value = serde_json::from_str(&printed.expect("a client that runs")).unwrap();
    assert_eq!(result["name"], name);
    assert_eq!(result["unknown"], "NOT_FOUND");
    assert_eq!(result["batch"], serde_json::json!([true, false]));
    assert_eq!(result["found"], true);
    let verdicts = serde_json::json!(["VERDICT_MISMATCH", "VERDICT_MATCH", "VERDICT_NOT_AUTHORISED"]);
    assert_eq!(result["verdicts"], verdicts);
    assert_eq!(result["watch"], serde_json::json!([null, null]));
    assert_eq!(result["state"], "NODE_STATE_SERVING");
    assert_eq!(result["without_certificate"], "UNAVAILABLE");
}
