//! What the ledger forgets, so that every host can hold it and every snapshot can carry it: the
//! oldest incidents that are over, and all but the first lines of old outputs.

mod common;

use common::{DOCUMENTS, Mesh, ended, id};
use protocol::{
    codec,
    ledger::{
        Ledger,
        attempts::{OUTPUT_BYTES_MAX, OUTPUT_CUT_BYTES, OUTPUTS_KEPT_MAX},
        incident::Subject,
        incidents::INCIDENTS_KEPT_MAX,
    },
    name::IncidentId,
    record::{self, Record},
    refusal::Refusal,
};

/// A mesh whose runbook may act on every new incident at once.
fn restless(size: u64) -> Mesh {
    let mut mesh = Mesh::of(size);
    let at_once = "cooldown = \"0s\"\nrepeat = { within = \"0s\" }";
    let text = common::without_evidence().replace("cooldown = \"60s\"", at_once);
    let text = text.replace("settle = \"2s\"\n", "");
    mesh.documents(&text).expect("valid");
    mesh
}

#[test]
fn of_too_many_incidents_the_oldest_that_are_over_are_forgotten() {
    let mut mesh = restless(3);
    // One that stays open, older than everything else.
    let open = mesh.open(3);
    let mut opened = Vec::new();
    for _ in 0..INCIDENTS_KEPT_MAX + 20 {
        mesh.now += 1;
        let incident = mesh.open(2);
        mesh.resolve(incident);
        opened.push(incident);
    }
    let incidents = mesh.ledger.incidents();
    assert_eq!(incidents.len(), INCIDENTS_KEPT_MAX);
    assert!(incidents.contains_key(&open), "what is open is never forgotten");
    let gone = opened.iter().filter(|incident| !incidents.contains_key(incident)).count();
    assert_eq!(gone, 21, "the oldest, and no more than it takes");
    assert!(opened[..21].iter().all(|incident| !incidents.contains_key(incident)));
    // What is looked up goes with what is kept.
    let web = || Subject::Check(common::name("web"));
    let latest = mesh.ledger.latest_about(id(2), web()).map(|incident| incident.id);
    assert_eq!(latest, opened.last().copied());
    let refusal =
        mesh.refused(1, Record::Resolved { incident: opened[0], because: "late".to_owned() });
    assert_eq!(refusal, Refusal::UnknownIncident { incident: opened[0] });
    assert_eq!(mesh.ledger.open_incidents().map(|one| one.id).collect::<Vec<_>>(), [open]);

    let bytes = codec::encode(&mesh.ledger);
    let read: Ledger = codec::decode(&bytes).expect("a full ledger fits a snapshot");
    assert!(read == mesh.ledger, "and is the same when it is read back");
}

#[test]
fn of_old_attempts_only_the_first_lines_of_the_output_are_kept() {
    let mut mesh = restless(3);
    let line = "a line of output that says what happened\n";
    let output = line.repeat(OUTPUT_BYTES_MAX / line.len());
    let mut reported: Vec<IncidentId> = Vec::new();
    for _ in 0..OUTPUTS_KEPT_MAX + 5 {
        mesh.now += 1;
        let incident = mesh.open(2);
        mesh.assign(incident, 2);
        let report =
            record::AttemptReport { output: output.clone(), ..ended(record::Outcome::Succeeded) };
        mesh.done(2, Record::Reported { incident, attempt: 1, report });
        mesh.resolve(incident);
        reported.push(incident);
    }
    let kept = |incident: &IncidentId| {
        let report = mesh.incident(*incident).attempts[0].report.as_ref().expect("reported");
        report.output.clone()
    };
    let whole = reported.iter().filter(|incident| kept(incident) == output).count();
    assert_eq!(whole, OUTPUTS_KEPT_MAX);
    for incident in &reported[..5] {
        let cut = kept(incident);
        assert!(cut.starts_with(line) && cut.ends_with("[the rest is no longer kept]"), "{cut}");
        assert!(cut.len() < OUTPUT_CUT_BYTES + 100, "{}", cut.len());
    }
    assert_eq!(kept(&reported[5]), output, "only as many as it takes are cut");
}

#[test]
fn what_is_looked_up_is_there_again_when_a_ledger_is_read_back() {
    let mut mesh = Mesh::of(4);
    mesh.documents(DOCUMENTS).expect("valid");
    let read: Ledger = codec::decode(&codec::encode(&mesh.ledger)).expect("it was encoded");
    assert_eq!(read, mesh.ledger);
    let labels = common::card(2).labels;
    for because in [common::failing(1_000), common::silent(1_000, &[])] {
        let answer = |ledger: &Ledger| {
            ledger.library().runbook_for(&because, &labels).map(|runbook| runbook.name.clone())
        };
        assert!(answer(&read).is_some(), "{because:?} is answered");
        assert_eq!(answer(&read), answer(&mesh.ledger));
    }
}
