//! Documents that are no good: each is refused with the contract's exit code and one line that
//! says what is wrong, where, and what to write instead; and none of them changes anything.

use anyhow::{Context, Result, ensure};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::mpsc,
};
use tests::Mesh;

const GOOD: &str = r#"
[[check]]
name    = "web-alive"
every   = "1s"
command = ["/bin/true"]

[[runbook]]
name = "restart-web"
on   = { check = "web-alive" }

[[runbook.rung]]
name = "restart"
run  = "true"
"#;

/// A text, and what has to be said of it.
type Case = (&'static str, String, &'static [&'static str]);

#[test]
fn documents_that_are_no_good_are_refused_and_change_nothing() -> Result<()> {
    let mesh = Mesh::sized(1)?;
    mesh.apply(GOOD)?;
    refused_texts(&mesh)?;
    refused_files(&mesh)?;
    a_dry_run_shows_the_difference_and_changes_nothing(&mesh)?;
    the_second_of_two_operators_is_told_of_the_first(&mesh)
}

fn check(name: &str, line: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\n{line}\ncommand = [\"/bin/true\"]\n")
}

fn runbook(on: &str, rung: &str) -> String {
    format!(
        "[[runbook]]\nname = \"r\"\non = {{ {on} }}\n\n[[runbook.rung]]\nname = \"a\"\n{rung}\n"
    )
}

fn texts() -> Vec<Case> {
    let answers = r#"check = "web-alive""#;
    vec![
        ("broken TOML", "[[check\nname = \"a\"\n".into(), &[":1: not valid TOML"]),
        ("a broken string", "[[check]]\nname = \"web\n".into(), &[":2: not valid TOML"]),
        (
            "an unknown kind",
            "[[chekc]]\nname = \"a\"\n".into(),
            &[":1:", "chekc", "did you mean \"check\"?"],
        ),
        (
            "an unknown key",
            check("a", "evry = \"1s\""),
            &[":3:", "evry", "did you mean \"every\"?"],
        ),
        (
            "an unknown key of a rung",
            runbook(answers, "run = \"true\"\ntiemout = \"1s\""),
            &[":8:", "tiemout", "did you mean \"timeout\"?"],
        ),
        (
            "one name twice",
            check("a", "every = \"1s\"") + &check("a", "every = \"2s\""),
            &[":5:", "\"a\"", "documents.toml:1"],
        ),
        (
            "a rung that does nothing",
            runbook(answers, "timeout = \"1s\""),
            &[":5:", "write run = \"SCRIPT\" or notify = \"NOTIFIER\""],
        ),
        ("no time", check("a", "every = \"0s\""), &[":3:", "every", "0s"]),
        ("negative time", check("a", "every = \"-5s\""), &[":3:", "every", "-5s"]),
        ("time without a unit", check("a", "every = 5"), &[":3:", "every", "write"]),
        (
            "an answer to no check",
            runbook("check = \"web-alvie\"", "run = \"true\""),
            &[":3:", "there is no check \"web-alvie\"", "did you mean \"web-alive\"?"],
        ),
        (
            "a call to nobody",
            check("a", "every = \"1s\"") + &runbook("check = \"a\"", "notify = \"ops\""),
            &[":11:", "\"ops\"", "write a [[notifier]] of that name"],
        ),
        ("no limit at all", "[limits]\nat_once = -1\n".into(), &[":2:", "at_once"]),
        ("a name for a shell", check("a; reboot", "every = \"1s\""), &[":2:", "name"]),
        ("a name for a terminal", check("\\u001b[2J", "every = \"1s\""), &[":2:", "\\u{1b}"]),
    ]
}

fn refused_texts(mesh: &Mesh) -> Result<()> {
    let host = &mesh[0];
    let before = host.json(&["document", "history"])?;
    let file = mesh.folder().join("documents.toml");
    let path = file.to_string_lossy().into_owned();
    for (what, text, words) in texts() {
        std::fs::write(&file, &text)?;
        let said = host.refused(&["apply", &path], 1, words).context(what)?;
        let (problem, verdict) = said.trim_end().split_once('\n').context(what)?;
        ensure!(problem.starts_with(&format!("{path}:")), "{what}: no place: {said}");
        ensure!(verdict.contains("nothing was applied"), "{what}: {said}");
        ensure!(!said.contains('\u{1b}'), "{what}: a terminal would obey: {said:?}");
        host.refused(&["document", "validate", &path], 1, words).context(what)?;
        host.refused(&["apply", "--dry-run", &path], 1, words).context(what)?;
    }
    // A good document does not carry a bad one in.
    std::fs::write(&file, check("b", "every = \"1s\"") + "[[check]]\nname = 1\n")?;
    let (code, _) = host.fails(&["apply", &path])?;
    ensure!(code == 1, "{code}");
    let after = host.json(&["document", "history"])?;
    ensure!(before == after, "something was committed: {after:#}");
    Ok(())
}

fn refused_files(mesh: &Mesh) -> Result<()> {
    let host = &mesh[0];
    let at = |name: &str| mesh.folder().join(name);
    let path = |name: &str| at(name).to_string_lossy().into_owned();
    std::fs::write(at("huge.toml"), "# many words\n".repeat(800_000))?;
    std::fs::write(at("latin.toml"), b"[[check]]\nname = \"caf\xe9\"\n")?;
    std::fs::write(at("binary.toml"), [0_u8, 255, 254, 0])?;
    std::fs::create_dir(at("empty"))?;
    std::fs::write(at("empty").join("README.md"), "no documents")?;
    let cases: [(&str, i32, &[&str]); 6] = [
        ("huge.toml", 1, &["exceed 4194304 bytes"]),
        ("latin.toml", 1, &["line 2 is not UTF-8"]),
        ("binary.toml", 1, &["is not UTF-8"]),
        ("missing.toml", 3, &["no such file"]),
        ("empty", 1, &["there is no *.toml in this directory"]),
        ("missing", 3, &["no such file"]),
    ];
    for (name, code, words) in cases {
        for command in [vec!["apply"], vec!["apply", "--dry-run"], vec!["document", "validate"]] {
            let said = host.refused(&[command, vec![&path(name)]].concat(), code, words)?;
            ensure!(said.lines().count() == 1 && said.contains(&path(name)), "{name}: {said}");
        }
    }
    // Within the limit of size and still not documents of a sane mesh.
    std::fs::write(at("many.toml"), "[[check]]\nnme = 1\n".repeat(20_000))?;
    let (code, said) = host.fails(&["apply", &path("many.toml")])?;
    ensure!(code == 1 && said.lines().count() <= 25 && said.contains("more"), "{code}: {said}");
    ensure!(host.revision()? == 1, "something was committed");
    Ok(())
}

fn a_dry_run_shows_the_difference_and_changes_nothing(mesh: &Mesh) -> Result<()> {
    let host = &mesh[0];
    let before = host.json(&["document", "history"])?;
    let file = mesh.folder().join("dry.toml");
    let path = file.to_string_lossy().into_owned();
    let changed = GOOD.replace("/bin/true", "/bin/false") + &check("second", "every = \"2s\"");
    std::fs::write(&file, changed)?;
    let shown = host.ok(&["apply", "--dry-run", &path])?;
    ensure!(shown == "+ check/second  on h1\n~ check/web-alive  on h1\n", "{shown:?}");
    let json = host.json(&["apply", "--dry-run", &path])?;
    ensure!(json["schema"] == 1 && json["changes"].as_array().is_some_and(|all| all.len() == 2));
    std::fs::write(&file, GOOD)?;
    let same = host.ok(&["apply", "--dry-run", &path])?;
    ensure!(same == "nothing would change\n", "{same:?}");
    let applied = host.ok(&["apply", &path])?;
    ensure!(applied == "revision 1\n", "what is there already makes no revision: {applied:?}");
    let after = host.json(&["document", "history"])?;
    ensure!(before == after, "something was committed: {after:#}");
    Ok(())
}

/// The second operator's command has looked at the mesh; before it sends what it has signed, the
/// first one's documents become the next revision.
fn the_second_of_two_operators_is_told_of_the_first(mesh: &Mesh) -> Result<()> {
    let host = &mesh[0];
    let slow = SlowLine::to(host.data.join("control.sock"), mesh.folder().join("second"))?;
    let file = mesh.folder().join("second.toml");
    std::fs::write(&file, check("of-the-second", "every = \"3s\""))?;
    let second = std::process::Command::new(tests::hearten())
        .arg("--data-dir")
        .arg(mesh.folder().join("second"))
        .arg("apply")
        .arg(&file)
        .arg("--key")
        .arg(host.data.join("operator.key"))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    slow.signed.recv().context("the second operator has signed")?;
    mesh.apply(&check("of-the-first", "every = \"3s\""))?;
    slow.go_on.send(())?;
    let output = second.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(5), "{:?}: {said}", output.status);
    ensure!(said.contains("the documents changed meanwhile"), "{said}");
    for told in [
        "you saw revision 1; revision 2 is there now",
        "+++ check/of-the-first (revision 2)",
        "+name = \"of-the-first\"",
    ] {
        ensure!(said.contains(told), "the difference is not told: {told:?} in {said}");
    }
    ensure!(output.stdout.is_empty(), "no revision is printed");
    let revision = host.revision()?;
    ensure!(revision == 2, "the first one's and no other: {revision}");
    host.ok(&["document", "show", "check/of-the-first"])?;
    host.refused(&["document", "show", "check/of-the-second"], 3, &["of-the-second"])?;
    Ok(())
}

/// A control socket that passes questions on, but documents only when it is told to.
struct SlowLine {
    /// Documents have come.
    signed: mpsc::Receiver<()>,
    /// They may go on.
    go_on: mpsc::Sender<()>,
}

impl SlowLine {
    fn to(socket: PathBuf, data: PathBuf) -> Result<Self> {
        std::fs::create_dir(&data)?;
        let listener = UnixListener::bind(data.join("control.sock"))?;
        let (tell, signed) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let pass = |mut caller: UnixStream| -> Result<()> {
                let mut request = Vec::new();
                caller.read_to_end(&mut request)?;
                if request.starts_with(b"{\"apply\"") {
                    tell.send(())?;
                    wait.recv()?;
                }
                let mut daemon = UnixStream::connect(&socket)?;
                daemon.write_all(&request)?;
                daemon.shutdown(Shutdown::Write)?;
                std::io::copy(&mut daemon, &mut caller)?;
                Ok(())
            };
            // It ends with the test.
            for caller in listener.incoming().flatten() {
                if pass(caller).is_err() {
                    return;
                }
            }
        });
        Ok(Self { signed, go_on })
    }
}
