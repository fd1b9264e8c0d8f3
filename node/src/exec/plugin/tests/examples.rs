//! The examples that are shipped do what they say.

use super::*;

fn shipped(name: &str) -> String {
    format!("{}/plugins/{name}", env!("CARGO_MANIFEST_DIR"))
}

async fn phase(bench: &Bench, probe: &PluginProbe, phase: Phase) -> Answer {
    let check = bench.check();
    let (environment, cancel) = (Environment::default(), CancellationToken::new());
    let run =
        run_phase(phase, (&check, probe), &environment, &bench.tools, bench.timeout, &cancel).await;
    run.answer.unwrap_or_else(|fault| panic!("{fault}: {} {}", run.output, run.errors))
}

#[tokio::test]
async fn the_example_in_shell_scans_analyses_and_heals() {
    let bench = Bench::new();
    let flag = bench.folder.path().join("app/ready");
    let argv = vec![shipped("flag.sh"), flag.display().to_string()];
    let probe = PluginProbe { argv, settings: BTreeMap::new(), facts: BTreeSet::new() };
    let scan = phase(&bench, &probe, Phase::Scan).await;
    assert_eq!(scan.summary(), format!("{} is missing", flag.display()));
    let analysis = phase(&bench, &probe, Phase::Analyse).await;
    assert_eq!((analysis.wants_heal, analysis.evidence.len()), (Some(true), 1));
    let healed = phase(&bench, &probe, Phase::Heal).await;
    assert_eq!(healed.actions, [format!("made {}", flag.display())]);
    assert_eq!(phase(&bench, &probe, Phase::Scan).await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn the_example_in_python_scans_analyses_and_heals() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has python3, and skips nothing");
        eprintln!("skipped: it needs python3, of Debian's package python3");
        return;
    }
    let bench = Bench::new();
    let folder = bench.folder.path().join("spool");
    let keep = bench.folder.path().join("kept");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("young"), "").unwrap();
    let old = fs::File::create(folder.join("old")).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(3_600)).unwrap();
    let text = |path: &std::path::Path| Setting::Text(path.display().to_string());
    let settings = BTreeMap::from([
        ("folder".to_owned(), text(&folder)),
        ("keep".to_owned(), text(&keep)),
        ("max_age".to_owned(), Setting::Integer(600)),
    ]);
    let probe =
        PluginProbe { argv: vec![shipped("stuck-files.py")], settings, facts: BTreeSet::new() };
    let scan = phase(&bench, &probe, Phase::Scan).await;
    assert_eq!(scan.findings.len(), 1);
    assert_eq!(scan.findings[0].details["path"], folder.join("old").display().to_string());
    let analysis = phase(&bench, &probe, Phase::Analyse).await;
    assert_eq!((analysis.wants_heal, analysis.evidence.len()), (Some(true), 1));
    assert_eq!(phase(&bench, &probe, Phase::Heal).await.actions.len(), 1);
    assert!(keep.join("old").exists() && folder.join("young").exists());
    assert_eq!(phase(&bench, &probe, Phase::Scan).await.verdict(), Verdict::Pass);
}
