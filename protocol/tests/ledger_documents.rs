//! Documents come from operators, for this mesh, in order: everything else is refused.

mod common;

use common::{DOCUMENTS, Mesh, bundle, operator, signed, stranger};
use protocol::{
    document::bundle::{Bundle, SignedBundle},
    ledger::Effect,
    record::Record,
    refusal::Refusal,
};

fn refused(mesh: &mut Mesh, bundle: SignedBundle) -> Refusal {
    mesh.refused(1, Record::DocumentsApplied { bundle })
}

#[test]
fn a_bundle_is_signed_by_an_operator_over_exactly_its_text() {
    let mut mesh = Mesh::of(2);
    let needed = |valid| Refusal::NotSigned { valid, needed: 1 };
    let unsigned = SignedBundle { bundle: bundle(1, DOCUMENTS), signatures: Vec::new() };
    assert_eq!(refused(&mut mesh, unsigned), needed(0));
    let foreign = bundle(1, DOCUMENTS).sign(&stranger());
    assert_eq!(refused(&mut mesh, foreign), needed(0));
    let mut altered = signed(1, DOCUMENTS);
    altered.bundle.sources[0].text.push('#');
    assert_eq!(refused(&mut mesh, altered), needed(0));
    let mut renumbered = signed(2, DOCUMENTS);
    renumbered.bundle.revision = 1;
    assert_eq!(refused(&mut mesh, renumbered), needed(0));
    let elsewhere = Bundle { mesh: [1; 32], ..bundle(1, DOCUMENTS) }.sign(&operator());
    assert_eq!(refused(&mut mesh, elsewhere), needed(0));
}

#[test]
fn one_operators_two_signatures_are_one() {
    let mut founding = common::founding();
    founding.trust.threshold = 2;
    founding.trust.operators.push(stranger().verifying_key().to_bytes());
    let mut mesh = Mesh::unfounded();
    mesh.done(1, Record::Founded(founding));
    let mut bundle = signed(1, DOCUMENTS);
    bundle.signatures.push(bundle.signatures[0].clone());
    assert_eq!(refused(&mut mesh, bundle.clone()), Refusal::NotSigned { valid: 1, needed: 2 });
    bundle.signatures.extend(common::bundle(1, DOCUMENTS).sign(&stranger()).signatures);
    assert_eq!(mesh.done(1, Record::DocumentsApplied { bundle }), Effect::Revision(1));
}

#[test]
fn a_bundle_is_not_played_again_and_follows_what_its_operator_saw() {
    let mut mesh = Mesh::of(2);
    mesh.documents(DOCUMENTS).expect("valid");
    let conflict = |base| Refusal::RevisionConflict { base, current: 1 };
    assert_eq!(refused(&mut mesh, signed(1, DOCUMENTS)), conflict(0));
    assert_eq!(refused(&mut mesh, signed(3, DOCUMENTS)), conflict(2));
    assert_eq!(refused(&mut mesh, signed(0, DOCUMENTS)), conflict(0));
    assert_eq!(refused(&mut mesh, signed(u64::MAX, DOCUMENTS)), conflict(u64::MAX - 1));
}

#[test]
fn a_test_is_signed_with_its_documents_and_never_becomes_one() {
    let mut mesh = Mesh::of(2);
    mesh.documents(DOCUMENTS).expect("valid");
    let before = mesh.ledger.library().documents().clone();
    let test = "[[test]]\nname = \"t\"\npeers = { a = {} }\nexpect_no = [{ rung = \"*\" }]\n";
    mesh.documents(&format!("{DOCUMENTS}{test}")).expect("valid");
    let library = mesh.ledger.library();
    assert_eq!(*library.documents(), before);
    let last = library.revisions().last().expect("a revision");
    assert!(last.bundle.bundle.sources[0].text.ends_with(test), "what was signed is kept");
    assert_eq!(last.changes, []);
    let refusal = refused(&mut mesh, signed(3, &test.replace("expect_no", "expcet")));
    assert!(matches!(refusal, Refusal::InvalidDocuments { .. }), "{refusal}");
}

#[test]
fn invalid_documents_are_told_and_change_nothing() {
    let mut mesh = Mesh::of(2);
    let refusal = refused(&mut mesh, signed(1, "[[check]]\nname = \"x\""));
    assert!(matches!(refusal, Refusal::InvalidDocuments { .. }), "{refusal}");
    let huge = "#".repeat((4 << 20) + 1);
    assert!(matches!(refused(&mut mesh, signed(1, &huge)), Refusal::TooLarge { .. }));
    assert_eq!(mesh.ledger.library().revision(), 0);
}
