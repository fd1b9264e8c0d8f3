//! Facts of this very host, and of one that is made up.

use super::*;
use std::{net::TcpListener, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn this_process_is_in_the_process_table() {
    let facts = Facts::default();
    let all = facts.processes().await;
    let all = all.as_ref().as_ref().unwrap();
    let pid = i32::try_from(std::process::id()).unwrap();
    let own = all.iter().find(|process| process.pid == pid).unwrap();
    let program = std::env::args().next().unwrap();
    assert!(own.command.starts_with(&program), "{own:?}");
    assert_eq!(own.uid, rustix::process::getuid().as_raw());
    assert!(own.rss_bytes > 1 << 20 && !own.is_dead(), "{own:?}");
    assert!(all.windows(2).all(|two| two[0].pid < two[1].pid));
}

#[tokio::test]
async fn a_listening_socket_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let sockets = Facts::default().sockets().await;
    let sockets = sockets.as_ref().as_ref().unwrap();
    let own = sockets.iter().find(|socket| socket.local == local).unwrap();
    assert_eq!((own.protocol, own.state), ("tcp", "listen"));
}

#[tokio::test]
async fn the_root_is_mounted_and_its_space_is_that_of_df() {
    let facts = Facts::default();
    let mounts = facts.filesystems().await;
    let root =
        mounts.as_ref().as_ref().unwrap().iter().rfind(|fs| fs.mount == "/").unwrap().clone();
    let space = root.space.unwrap();
    assert!(space.used_percent <= 100 && space.used_bytes > 0, "{space:?}");
    let df = std::process::Command::new("df").args(["--output=pcent", "/"]).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let shown: i64 = df.lines().last().unwrap().trim().trim_end_matches('%').parse().unwrap();
    // Others write to this disk between the two looks.
    assert!((shown - i64::from(space.used_percent)).abs() <= 1, "{df} {space:?}");
}

#[tokio::test]
async fn ten_who_ask_at_once_cost_one_look_and_so_do_ten_one_after_another() {
    let facts = Facts::default();
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let facts = facts.clone();
            tokio::spawn(async move { facts.processes().await })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap().is_ok());
    }
    assert_eq!(facts.collections(), 1);
    for _ in 0..10 {
        facts.processes().await;
    }
    assert_eq!(facts.collections(), 1);
    facts.forget();
    facts.processes().await;
    assert_eq!(facts.collections(), 2, "something was done to the host");
    tokio::time::sleep(FRESH).await;
    facts.processes().await;
    assert_eq!(facts.collections(), 3, "it was too long ago");
}

#[tokio::test]
async fn whoever_runs_out_of_time_leaves_the_look_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("hangs");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let facts = Facts::default();
    let slot: Arc<Shared<Result<String, String>>> = Arc::default();
    for _ in 0..5 {
        let path = pipe.clone();
        // Reading a pipe that nobody writes to hangs in the kernel, as a dead mount does.
        let look = facts.collect(&slot, Duration::ZERO, move || {
            fs::read_to_string(path).map_err(|error| error.to_string())
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), look).await.is_err());
    }
    assert_eq!(facts.collections(), 1, "one thread hangs, not five");
    fs::write(&pipe, "back").unwrap();
    let found = facts.collect(&slot, Duration::ZERO, || Err("not asked".to_owned())).await;
    assert_eq!(found.as_ref(), &Ok("back".to_owned()));
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn units_are_asked_of_systemctl_and_only_where_there_is_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let systemctl = folder.path().join("systemctl");
    script(
        &systemctl,
        "#!/bin/sh\nprintf 'Id=a.service\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\n\
         \\nId=b.timer\\nLoadState=loaded\\nActiveState=failed\\nSubState=failed\\n'\n",
    );
    let systemctl = systemctl.to_string_lossy().into_owned();
    let places = Places { systemd: folder.path().into(), systemctl, ..Places::default() };
    let units = Facts::of(places.clone()).units().await;
    let units = units.as_ref().as_ref().unwrap();
    assert_eq!(units.len(), 2);
    assert_eq!((units[0].name.as_str(), units[0].sub.as_str()), ("a.service", "running"));
    assert_eq!((units[1].name.as_str(), units[1].active.as_str()), ("b.timer", "failed"));
    let elsewhere = Places { systemd: folder.path().join("none"), ..places };
    let none = Facts::of(elsewhere).as_json(FactKind::Units).await;
    assert_eq!(none, serde_json::json!({ "error": "this host is not run by systemd" }));
}
