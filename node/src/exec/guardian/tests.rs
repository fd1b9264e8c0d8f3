//! Guardians of real processes, on threads of this one.

use super::*;
use crate::exec::process::tests::{alive_with, until};
use std::{
    process::{Child, Command},
    thread::JoinHandle,
};

/// More than a test takes.
const LONG: Duration = Duration::from_secs(600);

/// A command under guard.
struct Scene {
    /// A word in the command line of everything that the command starts.
    word: String,
    child: Child,
    daemon: Option<Guardian>,
    guard: JoinHandle<Guarded>,
}

/// Starts this script, in which `WORD` is some hours of sleep, with a guardian.
fn scene(script: &str, within: Duration, leftovers_end: bool) -> Scene {
    let word = format!("9999.{}", rand::random::<u64>());
    let run = format!("{:032x}", rand::random::<u128>());
    let (theirs, ours) = io::pipe().unwrap();
    let charge = Charge { run: run.clone(), within, leftovers_end };
    let guard = thread::spawn(move || guard(&charge, theirs).unwrap());
    let child = Command::new("/bin/sh")
        .args(["-c", &script.replace("WORD", &word)])
        .env(tree::MARKER, run)
        .spawn()
        .unwrap();
    Scene { word, child, daemon: Some(Guardian(ours)), guard }
}

impl Scene {
    fn tell(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let started = tree::started(pid).unwrap();
        self.daemon.as_mut().unwrap().tell(pid, started);
    }

    async fn sleeps(&self, count: usize) {
        until("it sleeps", || alive_with(&self.word).len() >= count).await;
    }

    /// Waits for the guardian, and says who is left.
    fn end(mut self) -> (Guarded, usize) {
        let guarded = self.guard.join().unwrap();
        let left = alive_with(&self.word);
        for pid in &left {
            drop(Command::new("kill").args(["-9", &pid.to_string()]).status());
        }
        drop(self.child.wait());
        (guarded, left.len())
    }
}

#[tokio::test]
async fn a_command_whose_daemon_is_gone_is_ended_wherever_it_went() {
    let script =
        "trap '' TERM; setsid sleep WORD & env -i sleep WORD & (sleep WORD &) ; sleep WORD";
    for told in [true, false] {
        let mut scene = scene(script, LONG, false);
        scene.sleeps(5).await;
        if told {
            scene.tell();
        }
        scene.daemon = None;
        let (guarded, left) = scene.end();
        let Guarded::Ended { gone: true, processes, survivors } = guarded else {
            panic!("{guarded:?}")
        };
        assert!(processes >= 5 && survivors.is_empty(), "{processes}, {survivors:?}");
        assert_eq!(left, 0, "told: {told}");
    }
}

#[tokio::test]
async fn a_command_whose_daemon_stands_still_is_ended_at_its_time() {
    let mut scene = scene("sleep WORD", Duration::from_millis(300), false);
    scene.tell();
    let (guarded, left) = scene.end();
    assert!(matches!(guarded, Guarded::Ended { gone: false, .. }), "{guarded:?}");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_an_ended_command_left_on_purpose_is_left() {
    for leftovers_end in [false, true] {
        let mut scene = scene("setsid sleep WORD &", LONG, leftovers_end);
        scene.tell();
        scene.child.wait().unwrap();
        scene.sleeps(1).await;
        scene.daemon = None;
        let (guarded, left) = scene.end();
        if leftovers_end {
            assert!(matches!(guarded, Guarded::Ended { gone: true, .. }), "{guarded:?}");
        } else {
            assert_eq!(guarded, Guarded::LeftAlone);
        }
        assert_eq!(left, usize::from(!leftovers_end));
    }
}

#[tokio::test]
async fn a_daemon_that_saw_the_end_needs_no_guardian() {
    let mut scene = scene("exec sleep WORD", LONG, false);
    scene.sleeps(1).await;
    scene.tell();
    scene.daemon.take().unwrap().dismiss();
    let (guarded, left) = scene.end();
    assert_eq!((guarded, left), (Guarded::Dismissed, 1));
}

#[test]
fn only_whole_lines_are_heard() {
    assert_eq!(lines(b"12 345\ndo").collect::<Vec<_>>(), ["12 345"]);
    assert_eq!(lines(b"12 345\ndone\n").collect::<Vec<_>>(), ["12 345", "done"]);
    assert_eq!(lines(b"12 34").filter(|line| !line.is_empty()).count(), 0);
}
