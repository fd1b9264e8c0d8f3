//! Plugins and checks of the host in a real mesh: what they find, how they heal, how they are tried.

use serde_json::json;
use std::fs;
use tests::{Mesh, until};

const DOCUMENTS: &str = r#"
[[check]]
name       = "flag"
every      = "500ms"
fail_after = 1
plugin     = ["PLUGINS/flag.sh", "FOLDER/app/ready"]
where      = { role = { not = ["db", "cache"] }, zone = { matches = "^a$" } }

[[check]]
name       = "after-flag"
every      = "200ms"
fail_after = 1
file       = "FOLDER/after"
depends_on = ["flag"]
where      = { role = ["web", "api"] }

[[check]]
name      = "enough"
every     = "1s"
aggregate = { check = "after-flag", at_least_percent = 100 }

[[runbook]]
name     = "raise-flag"
on       = { check = "flag" }
cooldown = "0s"

[[runbook.evidence]]
run = "ls FOLDER"

[[runbook.rung]]
name    = "raise it"
heal    = true
timeout = "20s"
settle  = "500ms"
"#;

#[test]
fn a_plugin_finds_analyses_and_heals_in_a_real_mesh_and_can_be_tried() {
    let mesh = Mesh::of(&["role=web,zone=a", "role=db", ""]).unwrap();
    let folder = mesh.folder();
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../node/plugins");
    let flag = folder.join("app/ready");
    fs::create_dir_all(folder.join("app")).unwrap();
    fs::write(&flag, "").unwrap();
    fs::write(folder.join("after"), "").unwrap();
    let documents =
        DOCUMENTS.replace("PLUGINS", plugins).replace("FOLDER", &folder.display().to_string());
    let path = folder.join("plugin.toml");
    fs::write(&path, documents).unwrap();
    mesh[0].ok(&["apply", &path.to_string_lossy()]).unwrap();

    // Which checks there are, and for whom.
    let list = mesh[0].json(&["check", "list"]).unwrap();
    let row = &list["checks"][2];
    assert_eq!(
        (&row["name"], &row["kind"], &row["here"]),
        (&json!("flag"), &json!("plugin"), &json!(true))
    );
    assert_eq!(row["where"], "role!=cache,db zone~^a$");
    assert_eq!(mesh[1].json(&["check", "list"]).unwrap()["checks"][2]["here"], false);
    assert!(mesh[0].ok(&["check", "list"]).unwrap().contains("after-flag"));

    // Its author tries it.
    let trial = mesh[0].json(&["check", "run", "flag"]).unwrap();
    assert_eq!((&trial["verdict"], &trial["exit_code"]), (&json!("pass"), &json!(0)));
    assert_eq!(trial["summary"], "no findings");
    assert_eq!(mesh[0].fails(&["check", "run", "none"]).unwrap().0, 3);
    assert_eq!(mesh[1].fails(&["check", "run", "flag"]).unwrap().0, 4);

    // It breaks, and what depends on it breaks with it.
    until("the check passes", || {
        let peer = mesh[0].json(&["peer", "show", "h1"]).ok()?;
        let checks = peer["checks"].as_array()?.clone();
        (checks.len() == 2 && checks.iter().all(|check| check["verdict"] == "pass")).then_some(())
    })
    .unwrap();
    fs::remove_file(folder.join("after")).unwrap();
    fs::remove_file(&flag).unwrap();
    let healed = mesh
        .incident(1, "it is healed", |incident| {
            incident["runbook"] == "raise-flag" && incident["state"] == "resolved"
        })
        .unwrap();
    assert!(flag.exists());
    let attempt = &healed["attempts"][0];
    assert_eq!(attempt["outcome"], "succeeded");
    assert_eq!(attempt["output"], format!("done: made {}\n", flag.display()));
    assert_eq!(healed["because"]["check"], "flag");

    let (code, shown) = mesh[0].fails(&["check", "run", "after-flag"]).unwrap();
    assert_eq!(code, 7, "{shown}");
}
