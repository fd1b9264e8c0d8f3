//! What is brought to the log around the commands: over the control socket by hand, and by a
//! worker that was taken over and speaks for itself. The leader and the ledger refuse by name
//! what is not the sender's to say, and nothing of it is committed.

use anyhow::{Context, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use node::{control::Request, identity::Identity, net::StreamKind, setup::operator};
use protocol::{
    codec,
    document::{
        Verdict,
        bundle::{Bundle, SignedBundle, Source},
    },
    ledger,
    name::{IncidentId, Name, PeerId},
    order::{Action, Order},
    record::{AttemptReport, Because, Delivered, Entry, Outcome, Record},
    refusal::Refusal,
    report::{Report, SignedReport},
    time::Timestamp,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, time::Duration};
use tests::{
    Mesh, Stranger,
    stranger::{Ask, MEMBER, Papers, Reply, framed, stolen},
    until,
};

#[test]
fn nobody_brings_to_the_log_what_is_not_theirs_to_say() -> Result<()> {
    // Three vote; the fourth, which comes when they do, is a worker.
    let mut mesh = Mesh::of(&["", "role=web", "role=web"])?;
    mesh.add("")?;
    mesh.settled()?;
    let incident = an_incident_under_repair(&mesh)?;
    let books = Books::of(&mesh)?;
    the_control_socket_takes_only_what_is_signed(&mesh, &books)?;
    let code = mesh.hosts[3].stop()?;
    ensure!(code == 0, "the worker stopped with {code}");
    let thief = Thief::of(&mesh, &books)?;
    documents_and_orders_need_an_operator(&mut mesh, &thief, &books)?;
    decisions_are_the_leaders(&mut mesh, &thief, incident)?;
    others_speak_for_themselves(&mut mesh, &thief, incident)?;
    a_worker_gets_no_keys_and_no_vote(&mut mesh, &thief)?;
    nothing_came_of_it(&mut mesh, &books, incident)
}

/// Opens an incident whose repair ends when the file `go` is there.
fn an_incident_under_repair(mesh: &Mesh) -> Result<IncidentId> {
    let folder = mesh.folder();
    let folder = folder.display();
    std::fs::write(mesh.folder().join("h3.ok"), "")?;
    mesh.apply(&format!(
        r#"
        [[check]]
        name    = "web-alive"
        every   = "1s"
        command = ["/bin/sh", "-c", "test -e {folder}/$HEARTEN_PEER.ok"]
        where   = {{ role = "web" }}

        [[runbook]]
        name = "mend"
        on   = {{ check = "web-alive" }}

        [[runbook.rung]]
        name    = "wait"
        run     = "until test -e {folder}/go; do sleep 0.1; done; touch {folder}/$HEARTEN_PEER.ok"
        timeout = "5m"
        settle  = "1s"
        "#
    ))?;
    let acting = |incident: &Value| incident["state"] == "acting" && incident["peer"] == "h2";
    let incident = mesh.incident(0, "h2 repairs itself", acting)?;
    IncidentId::parse(incident["id"].as_str().context("an id")?).context("an id")
}

/// What the mesh was before anybody tried.
struct Books {
    history: Value,
    operator: SigningKey,
    root: [u8; 32],
    peers: BTreeMap<String, PeerId>,
}

impl Books {
    fn of(mesh: &Mesh) -> Result<Self> {
        let mut peers = BTreeMap::new();
        for host in &mesh.hosts {
            peers.insert(host.name.clone(), identity(&host.data)?.peer());
        }
        Ok(Self {
            history: mesh[0].json(&["document", "history"])?,
            operator: operator::load(&mesh[0].data.join("operator.key"))?,
            root: identity(&mesh[0].data)?.fingerprint().0,
            peers,
        })
    }

    /// Bundles that must not be taken, and the words with which they are refused.
    fn bad_bundles(&self, revision: u64) -> Vec<(&'static str, SignedBundle)> {
        let text = "[limits]\nat_once = 1000\n".to_owned();
        let source = Source { file: "mischief.toml".to_owned(), text };
        let bundle = Bundle { mesh: self.root, revision, sources: vec![source] };
        let unsigned = SignedBundle { bundle: bundle.clone(), signatures: Vec::new() };
        let stranger = bundle.clone().sign(&SigningKey::from_bytes(&[7; 32]));
        // Signed by a stranger who says that the signature is the operator's.
        let mut forged = stranger.clone();
        forged.signatures[0].key = self.operator.verifying_key().to_bytes();
        let mut altered = bundle.clone().sign(&self.operator);
        altered.bundle.sources[0].text.push_str("share_percent = 100\n");
        let mut later = bundle.clone().sign(&self.operator);
        later.bundle.revision += 1;
        let elsewhere = Bundle { mesh: [9; 32], ..bundle }.sign(&self.operator);
        vec![
            ("unsigned", unsigned),
            ("a stranger's", stranger),
            ("forged", forged),
            ("altered", altered),
            ("renumbered", later),
            ("another mesh's", elsewhere),
        ]
    }
}

fn time(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text).map_err(anyhow::Error::msg)
}

fn identity(data: &Path) -> Result<Identity> {
    Identity::load(data)?.context("the host is a peer")
}

fn the_control_socket_takes_only_what_is_signed(mesh: &Mesh, books: &Books) -> Result<()> {
    let say = |request: &Request| mesh[1].control(&serde_json::to_vec(request)?);
    let revision = mesh[1].revision()? + 1;
    for (what, bundle) in books.bad_bundles(revision) {
        let Err((code, message)) = say(&Request::Apply { bundle })? else {
            bail!("documents that are {what} were taken")
        };
        ensure!(code == 4 && message.contains("0 of 1 valid signatures"), "{what}: {message}");
    }
    // What was signed for a revision says nothing about another one.
    let source = Source { file: "a.toml".to_owned(), text: "[limits]\nat_once = 9\n".to_owned() };
    let old = Bundle { mesh: books.root, revision: revision - 1, sources: vec![source.clone()] };
    let answer = say(&Request::Apply { bundle: old.sign(&books.operator) })?;
    ensure!(
        matches!(&answer, Err((5, message)) if message.contains("the documents changed")),
        "{answer:?}"
    );
    let early = Bundle { mesh: books.root, revision: revision + 5, sources: vec![source] };
    let answer = say(&Request::Apply { bundle: early.sign(&books.operator) })?;
    ensure!(matches!(&answer, Err((5, _))), "{answer:?}");
    // The very same documents once more are no mistake, and no revision.
    let first = first_bundle(mesh, books)?;
    say(&Request::Apply { bundle: first })?.ok().context("they are in force")?;
    for noise in [&b"{}"[..], b"", b"\"reboot\"", b"{\"apply\":{}}", b"[[[[", b"\xff\xfe\x00"] {
        let answer = mesh[1].control(noise)?;
        ensure!(
            matches!(&answer, Err((1, message)) if message.contains("another version")),
            "{answer:?}"
        );
    }
    let deep = mesh[1].control(&b"[".repeat(1 << 20))?;
    ensure!(deep.is_err() && mesh[1].status().is_some(), "it still serves: {deep:?}");
    ensure!(mesh[1].json(&["document", "history"])? == books.history, "something was committed");
    Ok(())
}

/// The bundle of the first revision, signed anew: Ed25519 signs the same bytes the same way.
fn first_bundle(mesh: &Mesh, books: &Books) -> Result<SignedBundle> {
    let file = mesh.folder().join("documents.toml");
    let text = std::fs::read_to_string(&file)?;
    let source = Source { file: file.display().to_string(), text };
    Ok(Bundle { mesh: books.root, revision: 1, sources: vec![source] }.sign(&books.operator))
}

/// The fourth peer, taken over.
struct Thief {
    papers: Papers,
    me: PeerId,
    /// The others.
    peers: BTreeMap<String, PeerId>,
    data: std::path::PathBuf,
}

impl Thief {
    fn of(mesh: &Mesh, books: &Books) -> Result<Self> {
        let data = mesh[3].data.clone();
        Ok(Self {
            papers: stolen(&data)?,
            me: identity(&data)?.peer(),
            peers: books.peers.clone(),
            data,
        })
    }

    /// Asks the leader, whoever that is.
    fn ask(&self, mesh: &mut Mesh, ask: &Ask) -> Result<Reply> {
        until("the leader answers", || {
            let leader = mesh.leader().ok()?;
            let line = Stranger::call(mesh[leader].address, MEMBER, self.papers.clone()).ok()?;
            line.ask(ask).ok().filter(|reply| !matches!(reply, Reply::NotLeader(_)))
        })
    }

    /// Brings a record to the leader in the name of `by`; what became of it.
    fn propose(&self, mesh: &mut Mesh, by: PeerId, record: Record) -> Result<ledger::Outcome> {
        let term = mesh[0].status().context("a status")?["term"].as_u64().context("a term")?;
        let told = mesh[0].control(b"\"mesh\"")?.ok().context("the log's time")?;
        let at = time(told["now"].as_str().context("a time")?)?;
        let reply = self.ask(mesh, &Ask::Propose(Entry { at, by, term, record }))?;
        let Reply::Proposed(_, outcome) = reply else { bail!("{reply:?}") };
        Ok(outcome)
    }

    /// Brings a record in its own name that the sender may not write.
    fn not_allowed(&self, mesh: &mut Mesh, by: PeerId, record: Record, why: &str) -> Result<()> {
        let what = format!("{record:?}");
        match self.propose(mesh, by, record)? {
            Err(Refusal::NotAllowed { by, why: said }) if said.contains(why) && by == self.me => {
                Ok(())
            }
            other => bail!("{what}: {other:?}"),
        }
    }
}

fn documents_and_orders_need_an_operator(
    mesh: &mut Mesh,
    thief: &Thief,
    books: &Books,
) -> Result<()> {
    let me = thief.me;
    for (what, bundle) in books.bad_bundles(2) {
        let outcome = thief.propose(mesh, me, Record::DocumentsApplied { bundle })?;
        ensure!(outcome == Err(Refusal::NotSigned { valid: 0, needed: 1 }), "{what}: {outcome:?}");
    }
    let replayed = Record::DocumentsApplied { bundle: first_bundle(mesh, books)? };
    let outcome = thief.propose(mesh, me, replayed)?;
    ensure!(outcome == Err(Refusal::RevisionConflict { base: 0, current: 1 }), "{outcome:?}");
    let now = time("2100-01-01T00:00:00Z")?;
    let action = Action::Freeze { reason: "mischief".to_owned() };
    let order = Order { mesh: books.root, nonce: 1, expires: now, action };
    let own = order.clone().sign(&SigningKey::from_bytes(&[7; 32]));
    let mut elsewhere = order.clone();
    elsewhere.mesh = [9; 32];
    for order in [own, elsewhere.sign(&books.operator)] {
        let outcome = thief.propose(mesh, me, Record::Ordered { order })?;
        ensure!(outcome == Err(Refusal::OrderNotSigned), "{outcome:?}");
    }
    // An order that was carried out cannot be given again by whoever saw it pass.
    let given = Order { action: Action::Thaw, ..order }.sign(&books.operator);
    let request = serde_json::to_vec(&Request::Order { order: given.clone() })?;
    mesh[0].control(&request)?.ok().context("the operator's own order")?;
    let outcome = thief.propose(mesh, me, Record::Ordered { order: given })?;
    ensure!(outcome == Err(Refusal::OrderSpent), "{outcome:?}");
    Ok(())
}

fn decisions_are_the_leaders(mesh: &mut Mesh, thief: &Thief, incident: IncidentId) -> Result<()> {
    let now = time("2100-01-01T00:00:00Z")?;
    let check = Name::parse("web-alive")?;
    let because =
        Because::Check { check, verdict: Verdict::Fail, since: now, summary: String::new() };
    let reason = || "mischief".to_owned();
    let decisions = [
        Record::Opened { peer: thief.peers["h1"], because },
        Record::Assigned {
            incident,
            attempt: 2,
            rung: 0,
            part: protocol::record::Part::Act,
            worker: thief.me,
            start_by: now,
            until: now,
        },
        Record::Lost { incident, attempt: 1, reason: reason() },
        Record::Held { incident, refusal: Refusal::NoRunbook },
        Record::Resolved { incident, because: reason() },
        Record::Escalated { incident, reason: reason() },
        Record::Called { incident, rung: 0 },
        Record::Notified { incident, notice: 1, delivered: Delivered::Yes, detail: reason() },
    ];
    for decision in decisions {
        thief.not_allowed(mesh, thief.me, decision, "only the leader decides")?;
    }
    Ok(())
}

fn others_speak_for_themselves(mesh: &mut Mesh, thief: &Thief, incident: IncidentId) -> Result<()> {
    let now = time("2100-01-01T00:00:00Z")?;
    let report = AttemptReport {
        outcome: Outcome::Succeeded,
        exit_code: Some(0),
        started_at: None,
        finished_at: now,
        output: "all is well".to_owned(),
    };
    let (me, victim) = (thief.me, thief.peers["h2"]);
    let reported = Record::Reported { incident, attempt: 1, report };
    thief.not_allowed(mesh, victim, reported.clone(), "in its own name only")?;
    thief.not_allowed(mesh, me, reported, "its worker's to tell")?;
    let own = "in its own name only";
    thief.not_allowed(mesh, victim, Record::PeerLeft { peer: victim }, own)?;
    thief.not_allowed(mesh, me, Record::PeerLeft { peer: victim }, "another peer's")?;
    thief.not_allowed(mesh, me, Record::PeerStopped { peer: victim }, "another peer's")?;
    // A report of a victim's health, signed with the thief's key.
    let leader = mesh.leader()?;
    let before = mesh[leader].counter("reports_dropped")?;
    let report = Report {
        peer: victim,
        generation: u64::MAX,
        sequence: u64::MAX,
        checks: BTreeMap::new(),
        facts: BTreeMap::from([("kernel".to_owned(), "mischief".to_owned())]),
    };
    let signature = identity(&thief.data)?.sign(&report.signed_bytes()).to_vec();
    let heard = thief.ask(mesh, &Ask::Hear(SignedReport { report, signature }))?;
    ensure!(heard == Reply::Heard, "{heard:?}");
    until("the forged report is dropped", || {
        (mesh[leader].counter("reports_dropped").ok()? > before).then_some(())
    })?;
    let shown = mesh[leader].ok(&["peer", "show", "h2"])?;
    ensure!(!shown.contains("mischief"), "{shown}");
    Ok(())
}

fn a_worker_gets_no_keys_and_no_vote(mesh: &mut Mesh, thief: &Thief) -> Result<()> {
    for host in 0..3 {
        let line = Stranger::call(mesh[host].address, MEMBER, thief.papers.clone())?;
        let reply = line.ask(&Ask::Issuer)?;
        ensure!(matches!(&reply, Reply::Refused(why) if why.contains("only voters")), "{reply:?}");
        for noise in [vec![], vec![0xff; 100], codec::encode(&"vote for me")] {
            let answer = line.stream(&framed(StreamKind::Raft, &noise))?;
            ensure!(answer.first() == Some(&1), "an error: {answer:?}");
        }
        let answer = line.stream(&framed(StreamKind::Forward, &[1, 99, 99]))?;
        ensure!(answer.first() == Some(&1), "an unknown question: {answer:?}");
        ensure!(line.is_connected(), "one bad question does not cost the others");
    }
    // A token that nobody made lets nobody in, whatever a member says that it heard.
    let ask = Ask::Join { request: vec![1, 2, 3], exporter: [1; 32], public_key: [2; 32] };
    let reply = thief.ask(mesh, &ask)?;
    ensure!(matches!(reply, Reply::Joined(_)), "{reply:?}");
    let peers = mesh[0].json(&["peer", "list"])?;
    ensure!(peers["peers"].as_array().map(Vec::len) == Some(4), "{peers:#}");
    Ok(())
}

fn nothing_came_of_it(mesh: &mut Mesh, books: &Books, incident: IncidentId) -> Result<()> {
    ensure!(mesh[0].json(&["document", "history"])? == books.history, "documents were committed");
    ensure!(mesh[0].status().context("a status")?["frozen"].is_null(), "it is frozen");
    let id = incident.to_string();
    let before = mesh[0].json(&["incident", "show", &id])?;
    ensure!(before["state"] == "acting", "{before:#}");
    ensure!(mesh.incidents(0)?.len() == 1, "{:#?}", mesh.incidents(0)?);
    // The worker itself ends it, and its word counts.
    std::fs::write(mesh.folder().join("go"), "")?;
    let after = mesh.incident(0, "the incident is resolved", |i| i["state"] == "resolved")?;
    ensure!(after["attempts"][0]["worker"] == "h2", "{after:#}");
    ensure!(after["attempts"].as_array().map(Vec::len) == Some(1), "{after:#}");
    let timeline = after["timeline"].as_array().context("a timeline")?;
    ensure!(timeline.iter().all(|fact| fact["by"] != "h4"), "{after:#}");
    mesh.hosts[3].start()?;
    mesh.settled()?;
    mesh.apply("[limits]\nat_once = 2\n")?;
    until("the worker has the new documents", || {
        (mesh[3].revision().ok()? == 2).then_some(Duration::ZERO)
    })?;
    Ok(())
}
