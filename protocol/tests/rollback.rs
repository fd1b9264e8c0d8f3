//! Going back to an earlier revision: the documents are what they were then, whatever was added,
//! changed and removed since.

mod common;

use common::{Mesh, id, name, silent};
use protocol::{
    document::{DocumentKey, DocumentKind, diff::difference, validate::read_bundle},
    explain,
    ledger::{Ledger, touched::touched},
    record::{Record, Seen},
};

fn check(name: &str, every: &str) -> String {
    format!(
        "[[check]]\nname = \"{name}\"\nevery = \"{every}\" # as {name} likes it\ncommand = \"true\"\n"
    )
}

fn runbook(name: &str, check: &str, run: &str) -> String {
    format!(
        "[[runbook]]\nname = \"{name}\"\non = {{ check = \"{check}\" }}\n\
         [[runbook.rung]]\nname = \"a\"\nrun = \"{run}\"\n"
    )
}

fn remove(kind: &str, name: &str) -> String {
    format!("[[remove]]\nkind = \"{kind}\"\nname = \"{name}\"\n")
}

fn revisions() -> Vec<String> {
    vec![
        check("a", "1s") + &check("b", "2s") + &runbook("r", "a", "one"),
        check("a", "9s") + &remove("check", "b") + "[limits]\nat_once = 2\n",
        "limits.at_once = 3\ncheck = [{ name = \"c\", command = \"true\" }]\n".to_owned(),
        remove("runbook", "r") + &remove("check", "a") + &remove("check", "c"),
        runbook("r", "b", "two") + &check("b", "2s"),
    ]
}

fn rolled_back(ledger: &Ledger, revision: u64) -> Vec<String> {
    let library = ledger.library();
    let (source, changes) = library.rollback(revision).expect("there is such a revision");
    let bundle = protocol::document::bundle::Bundle {
        mesh: [0; 32],
        revision: library.revision() + 1,
        sources: vec![source],
    };
    let after = read_bundle(&bundle, library.documents()).expect("it is valid");
    assert_eq!(difference(library.documents(), &after), changes, "it does what it says");
    after.iter().map(|(key, document)| format!("{key} {document:?}")).collect()
}

#[test]
fn every_earlier_revision_is_found_again() {
    let mut mesh = Mesh::of(1);
    let mut stood: Vec<Vec<String>> = vec![Vec::new()];
    for text in revisions() {
        mesh.documents(&text).expect("valid documents");
        let documents = mesh.ledger.library().documents();
        stood.push(documents.iter().map(|(key, one)| format!("{key} {one:?}")).collect());
        for (revision, then) in (0..).zip(&stood) {
            assert_eq!(rolled_back(&mesh.ledger, revision), *then, "revision {revision}");
        }
    }
    let (source, changes) = mesh.ledger.library().rollback(5).expect("the present one");
    assert!(changes.is_empty(), "nothing brings it to where it is: {}", source.text);
    let (source, _) = mesh.ledger.library().rollback(2).expect("an earlier one");
    assert!(source.text.contains("every = \"9s\" # as a likes it"), "{}", source.text);
    assert_eq!(mesh.ledger.library().rollback(6), None);
}

#[test]
fn a_repair_that_is_under_way_is_finished_by_its_own_text_and_says_so() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    let story = |mesh: &Mesh| -> String {
        let incident = &mesh.ledger.incidents()[&incident];
        let story = explain::story(&mesh.ledger, incident, Some(id(1)), mesh.ledger.last_at());
        story.into_iter().map(|sentence| sentence.text + "\n").collect()
    };
    assert!(!story(&mesh).contains("the mesh is at revision"), "{}", story(&mesh));
    let changed = common::without_evidence().replace("reinstall", "replace");
    mesh.documents(&changed).expect("valid documents");
    let told = "it runs by revision 1; the mesh is at revision 2, where runbook \"restart-web\" says something else";
    assert!(story(&mesh).contains(told), "{}", story(&mesh));
    let plan = mesh.ledger.incidents()[&incident].plan.clone().expect("a plan");
    assert!(plan.rungs.iter().any(|rung| rung.name == "reinstall"), "the old text");
    let (source, _) = mesh.ledger.library().rollback(1).expect("an earlier one");
    mesh.documents(&source.text).expect("valid documents");
    assert!(!story(&mesh).contains("the mesh is at revision"), "it says the same again");
}

#[test]
fn a_change_names_the_hosts_and_the_open_incidents_that_it_touches() {
    let mut mesh = Mesh::ready(4);
    let open = mesh.open(2);
    let witnesses = [(1, Seen::NoAnswer), (2, Seen::NoAnswer), (4, Seen::NoAnswer)];
    mesh.done(1, Record::Opened { peer: id(3), because: silent(700, &witnesses) });
    let after = mesh.ledger.library().documents().clone();
    let key = |kind, text: &str| DocumentKey { kind, name: name(text) };
    let touches = |key: &DocumentKey, after| touched(&mesh.ledger, key, after);
    let check = touches(&key(DocumentKind::Check, "web"), &after);
    assert_eq!(check.peers.len(), 4, "{check:?}");
    assert_eq!(check.incidents.iter().copied().collect::<Vec<_>>(), [open]);
    let runbook = key(DocumentKind::Runbook, "restart-web");
    assert_eq!(touches(&runbook, &after), check);
    let mut gone = after.clone();
    gone.remove(&runbook);
    assert_eq!(touches(&runbook, &gone), check, "what is taken away touches as much");
    let none = touches(&key(DocumentKind::Check, "none"), &after);
    assert!(none.peers.is_empty() && none.incidents.is_empty());
}
