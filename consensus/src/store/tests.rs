//! The store as a whole: openraft's own suite, crashes, damage, age.

use super::*;
use crate::group::{Group, LogEntry, LogId, StorageError, Vote};
use openraft::{
    CommittedLeaderId, EntryPayload, RaftLogReader, RaftSnapshotBuilder,
    storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
    testing::{StoreBuilder, Suite},
};
use protocol::{
    name::IncidentId,
    record::{Entry, Record},
    time::Timestamp,
};
use std::{collections::BTreeSet, os::unix::fs::FileExt};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<Group, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        // The suite writes logs with gaps, which Raft never does.
        let store = open_with(&dir.path().join("raft"), me(), false, None).unwrap();
        Ok((dir, store.log, store.machine))
    }
}

#[test]
fn openrafts_own_suite_passes() {
    Suite::test_all(Builder).unwrap();
}

fn me() -> PeerId {
    PeerId::from_random(42)
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> LogEntry {
    let record = Record::Escalated { incident: IncidentId(1), reason: "x".repeat(bytes) };
    let record = Entry { at: Timestamp::default(), by: me(), term, record };
    LogEntry { log_id: id(term, index), payload: EntryPayload::Normal(record) }
}

/// A store with a vote, entries 0..=20, a commit index, a snapshot at 10 and the first 5 purged;
/// dropped without being stopped.
async fn used(dir: &Path) -> RaftId {
    let Store { raft_id, mut log, mut machine, .. } = open(dir, me(), None).unwrap();
    log.save_vote(&Vote::new_committed(3, 1)).await.unwrap();
    let entries: Vec<_> = (0..=20).map(|index| entry(3, index, 10_000)).collect();
    log.blocking_append(entries.clone()).await.unwrap();
    log.save_committed(Some(id(3, 15))).await.unwrap();
    machine.apply(entries.into_iter().take(11)).await.unwrap();
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    log.purge(id(3, 5)).await.unwrap();
    drop((log, machine));
    raft_id
}

fn reopen(dir: &Path) -> Store {
    open(dir, me(), None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_is_there_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("raft");
    let raft_id = used(&dir).await;
    let mut store = reopen(&dir);
    assert_eq!(store.opening, Opening::Resumed);
    assert_eq!(store.raft_id, raft_id);
    assert_eq!(store.log.read_vote().await.unwrap(), Some(Vote::new_committed(3, 1)));
    assert_eq!(store.log.read_committed().await.unwrap(), Some(id(3, 15)));
    let state = store.log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(id(3, 5)));
    assert_eq!(state.last_log_id, Some(id(3, 20)));
    let found = store.log.try_get_log_entries(0..100).await.unwrap();
    assert_eq!(found, (6..=20).map(|index| entry(3, index, 10_000)).collect::<Vec<_>>());
    let (applied, _) = store.machine.applied_state().await.unwrap();
    assert_eq!(applied, Some(id(3, 10)));
    let snapshot = store.machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(snapshot.meta.last_log_id, Some(id(3, 10)));
    // What was overwritten by another leader stays overwritten.
    store.log.save_vote(&Vote::new_committed(4, 2)).await.unwrap();
    store.log.truncate(id(3, 18)).await.unwrap();
    store.log.blocking_append([entry(4, 18, 1)]).await.unwrap();
    drop(store);
    let mut store = reopen(&dir);
    assert_eq!(store.opening, Opening::Resumed);
    assert_eq!(store.log.get_log_state().await.unwrap().last_log_id, Some(id(4, 18)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_entry_makes_no_file_that_sled_would_not_sync() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("raft");
    let mut store = reopen(&dir);
    store.log.save_vote(&Vote::new(3, 1)).await.unwrap();
    for index in 0..8 {
        store.log.blocking_append([entry(3, index, 1_000_000)]).await.unwrap();
    }
    // Single values are rewritten often; the leaf they share with the log must not grow.
    for term in 4..40 {
        store.log.save_vote(&Vote::new(term, 1)).await.unwrap();
    }
    drop(store);
    let mut store = reopen(&dir);
    assert_eq!(store.log.try_get_log_entries(0..9).await.unwrap().len(), 8);
    let blobs = fs::read_dir(dir.join("log/blobs")).unwrap();
    assert_eq!(blobs.count(), 0);
}

/// Damages the files of a store, opens it, and checks that what comes back is either all that was
/// promised or a new, empty store with a new id.
async fn damaged(what: &str, damage: impl FnOnce(&Path)) -> Opening {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("raft");
    let raft_id = used(&dir).await;
    let lock = lock(&dir).unwrap();
    damage(&dir);
    drop(lock);
    let mut store = reopen(&dir);
    let state = store.log.get_log_state().await.unwrap();
    match &store.opening {
        Opening::Resumed => {
            assert_eq!(store.raft_id, raft_id, "{what}");
            assert_eq!(store.log.read_vote().await.unwrap(), Some(Vote::new_committed(3, 1)));
            assert_eq!(state.last_log_id, Some(id(3, 20)), "{what}");
            let found = store.log.try_get_log_entries(6..100).await.unwrap();
            let written: Vec<_> = (6..=20).map(|index| entry(3, index, 10_000)).collect();
            assert_eq!(found, written, "{what}: wrong data");
            let snapshot = store.machine.get_current_snapshot().await.unwrap().unwrap();
            assert_eq!(snapshot.meta.last_log_id, Some(id(3, 10)), "{what}");
        }
        Opening::Quarantined { moved_to, .. } => {
            assert_ne!(store.raft_id, raft_id, "{what}: a lost store must not keep its id");
            assert_eq!(state.last_log_id, None, "{what}");
            assert_eq!(store.log.read_vote().await.unwrap(), None, "{what}");
            assert!(moved_to.is_dir(), "{what}");
        }
        Opening::Fresh => panic!("{what}: a used store was taken for a new one"),
    }
    store.opening.clone()
}

fn is_quarantined(opening: &Opening) -> bool {
    matches!(opening, Opening::Quarantined { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_never_gives_wrong_data() {
    let mut quarantined = 0;
    for step in 0..24_u64 {
        let opening = damaged(&format!("flip {step}"), |dir| {
            let file = File::options().read(true).write(true).open(dir.join("log/db")).unwrap();
            let at = file.metadata().unwrap().len().min(400_000) * step / 24;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x41], at).unwrap();
        })
        .await;
        quarantined += u32::from(is_quarantined(&opening));
    }
    assert!(quarantined > 0, "no flip was ever noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn zeroed_and_truncated_and_missing_files_are_noticed() {
    for step in 1..6_u64 {
        damaged(&format!("zeroes {step}"), |dir| {
            let file = File::options().write(true).open(dir.join("log/db")).unwrap();
            file.write_all_at(&[0; 4096], 40_000 * step).unwrap();
        })
        .await;
        damaged(&format!("truncation {step}"), |dir| {
            let file = File::options().write(true).open(dir.join("log/db")).unwrap();
            file.set_len(30_000 * step).unwrap();
        })
        .await;
    }
    // sled makes its settings anew; nothing of ours lies there.
    damaged("without sled's settings", |dir| fs::remove_file(dir.join("log/conf")).unwrap()).await;
    for name in ["log/db", "witness", "FORMAT", "log", "snapshots"] {
        let opening = damaged(&format!("without {name}"), |dir| {
            let path = dir.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        })
        .await;
        assert!(is_quarantined(&opening), "without {name}: {opening:?}");
    }
    let opening = damaged("a flipped snapshot", |dir| {
        let path = fs::read_dir(dir.join("snapshots")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    })
    .await;
    assert!(is_quarantined(&opening));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in fs::read_dir(from).unwrap() {
        let path = name.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Uses a store, keeps a copy of sled's files, uses it further and puts the copy back.
async fn outdated(further: impl AsyncFnOnce(&mut Log)) -> Opening {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("raft");
    let old = parent.path().join("old");
    used(&dir).await;
    drop(lock(&dir).unwrap());
    copy(&dir.join("log"), &old);
    let mut store = reopen(&dir);
    further(&mut store.log).await;
    drop(store);
    // Its writer may still be at work; it is done when the lock is free.
    let lock = lock(&dir).unwrap();
    fs::remove_dir_all(dir.join("log")).unwrap();
    copy(&old, &dir.join("log"));
    drop(lock);
    reopen(&dir).opening
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_older_than_its_witness_is_set_aside() {
    let opening = outdated(async |log| log.save_vote(&Vote::new(9, 2)).await.unwrap()).await;
    assert!(is_quarantined(&opening), "a vote was lost: {opening:?}");
    let append = async |log: &mut Log| log.blocking_append([entry(3, 21, 1)]).await.unwrap();
    let opening = outdated(append).await;
    assert!(is_quarantined(&opening), "an entry was lost: {opening:?}");
    let opening = outdated(async |_: &mut Log| ()).await;
    assert_eq!(opening, Opening::Resumed, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_and_another_peers_store_are_refused_and_left_alone() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("raft");
    let raft_id = used(&dir).await;
    let other = PeerId::from_random(43);
    let refused = open(&dir, other, None);
    assert!(matches!(refused, Err(OpenError::OtherPeer { found, .. }) if found == me()));
    format::write(&dir, 2).unwrap();
    let refused = open(&dir, me(), None);
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 2, supported: 1, .. })));
    format::write(&dir, 1).unwrap();
    assert_eq!(reopen(&dir).raft_id, raft_id);
    let names: BTreeSet<_> =
        fs::read_dir(parent.path()).unwrap().map(|name| name.unwrap().file_name()).collect();
    assert_eq!(names, BTreeSet::from(["raft".into(), "raft.lock".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_open_once() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("raft");
    let held = reopen(&dir);
    assert!(matches!(open(&dir, me(), None), Err(OpenError::Busy { .. })));
    drop(held);
    assert_eq!(reopen(&dir).opening, Opening::Resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_store_is_made_leaves_none() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("raft");
    fs::create_dir_all(beside(&dir, "new").join("log")).unwrap();
    format::write(&beside(&dir, "new"), 1).unwrap();
    assert_eq!(reopen(&dir).opening, Opening::Fresh);
    assert!(!beside(&dir, "new").exists());
}
