use super::*;

const DOCUMENTS: &str = "\
[[check]]
name = \"web\"
every = \"2s\"
command = \"true\"
where = { role = \"web\" }
[[notifier]]
name = \"ops\"
kind = \"webhook\"
url = \"http://localhost/\"
[[runbook]]
name = \"heal-web\"
on = { check = \"web\" }
cooldown = \"5m\"
[[runbook.rung]]
name = \"reload\"
run = \"true\"
[[runbook.rung]]
name = \"restart\"
run = \"true\"
timeout = \"20s\"
[[runbook.rung]]
name = \"call\"
notify = \"ops\"
[[test]]
name = \"t\"
lasts = \"100s\"
peers = { a = { role = \"web\" }, b = { role = \"web\" }, c = {} }
";

/// What `but` says of each fault of the test that ends in these lines.
fn faults(rest: &str) -> Vec<String> {
    let text = format!("{DOCUMENTS}{rest}");
    let suite = Suite::of(vec![Source { file: "f.toml".to_owned(), text }]).unwrap();
    let verdict = suite.play(&suite.tests[0], 1, |_, _| {});
    verdict.faults.iter().map(|fault| format!("{}: {}", fault.expected, fault.found)).collect()
}

/// That the test holds.
fn holds(rest: &str) {
    assert_eq!(faults(rest), Vec::<String>::new(), "{rest}");
}

/// That the test fails, and says so.
fn fails(rest: &str, said: &str) {
    let faults = faults(rest);
    assert!(faults.iter().any(|fault| fault.contains(said)), "{rest}\n{said}\n{faults:?}");
}

const FAILS: &str = "given = [{ at = \"5s\", peer = \"a\", check = \"web\", says = \"fail\" }]\n";

#[test]
fn what_is_expected_in_order_has_to_come_in_order() {
    let line = |first: &str, second: &str| {
        format!("{FAILS}expect = [{{ rung = \"{first}\" }}, {{ rung = \"{second}\" }}]")
    };
    holds(&line("reload", "restart"));
    fails(&line("restart", "reload"), "before what the line above it expects");
    fails(&line("reload", "reload"), "\"reload\" is executed: it happened at");
}

#[test]
fn a_rung_that_does_not_come_is_told_with_what_came_instead() {
    let line = |rest: &str| format!("{FAILS}expect = [{{ rung = \"reload\", {rest} }}]");
    holds(&line("peer = \"a\", worker = \"a\", attempt = 1, ends = \"succeeded\""));
    holds(&line("worker = \"affected\", runbook = \"heal-web\""));
    for wrong in [
        "peer = \"b\"",
        "worker = \"b\"",
        "worker = \"neighbour\"",
        "attempt = 2",
        "ends = \"failed\"",
    ] {
        fails(&line(wrong), "a executes rung \"reload\" for a");
    }
}

#[test]
fn what_comes_too_early_or_too_late_is_told_with_its_time() {
    let line = |rest: &str| {
        format!("{FAILS}expect = [{{ rung = \"reload\" }}, {{ rung = \"restart\", {rest} }}]")
    };
    holds(&line("within = \"10s\""));
    fails(&line("within = \"10ms\""), "within 10ms: it happened at 0:");
    holds(&line("after = \"200ms\""));
    fails(&line("after = \"1m\""), "after 1m at the earliest: it happened at 0:");
}

#[test]
fn what_must_not_happen_is_found_wherever_it_happens() {
    holds(&format!(
        "{FAILS}expect_no = [{{ rung = \"*\", peer = \"b\" }}, {{ rung = \"*\", worker = \"c\" }}]"
    ));
    for (no, said) in [
        ("rung = \"restart\"", "a executes rung \"restart\""),
        ("rung = \"*\"", "a executes rung \"reload\""),
        ("notice = \"*\"", "\"ops\" is told"),
        ("incident = \"escalated\"", "handed to a person"),
    ] {
        fails(&format!("{FAILS}expect_no = [{{ {no} }}]"), said);
    }
}

#[test]
fn how_things_stand_in_the_end_is_held_against_the_ledger() {
    let finally = |rest: &str| format!("{FAILS}finally = [{{ {rest} }}]");
    holds(&finally("peer = \"a\", incident = \"escalated\", attempts = 2, count = 1"));
    holds(&finally("peer = \"b\", incident = \"none\""));
    holds(&finally("peer = \"a\", about = \"silence\", count = 0"));
    for wrong in
        ["incident = \"resolved\"", "incident = \"none\"", "attempts = 1", "held = \"frozen\""]
    {
        let said = "about a (check \"web\") is escalated after 2 attempts";
        fails(&finally(&format!("peer = \"a\", {wrong}")), said);
    }
    fails(&finally("peer = \"b\", incident = \"resolved\""), "there was no such incident");
    fails(&finally("peer = \"a\", count = 2"), "there were 1: INC-");
}

#[test]
fn a_rung_comes_to_what_the_first_line_that_fits_says() {
    let rungs = "rungs = [{ rung = \"reload\", peer = \"b\", helps = true }, \
                          { rung = \"reload\", ends = \"failed\" }, \
                          { runbook = \"heal-web\", rung = \"restart\", attempt = 2, helps = true }]\n";
    holds(&format!(
        "{FAILS}{rungs}expect = [{{ rung = \"reload\", ends = \"failed\" }}, \
         {{ rung = \"restart\", attempt = 2 }}, {{ incident = \"resolved\", about = \"web\" }}]"
    ));
    for (ends, takes) in [("timed out", "1s"), ("hangs", "1s"), ("succeeded", "30s")] {
        let played = format!("{{ rung = \"restart\", ends = \"{ends}\", takes = \"{takes}\" }}");
        holds(&format!(
            "{FAILS}rungs = [{played}]\nexpect = [{{ rung = \"restart\", ends = \"timed out\" }}, \
             {{ incident = \"escalated\", after = \"20s\" }}]"
        ));
    }
    holds(&format!(
        "{FAILS}rungs = [{{ rung = \"reload\", ends = \"unknown\" }}]\n\
         expect = [{{ held = \"unknown-outcome\", peer = \"a\" }}, {{ notice = \"ops\" }}]\n\
         finally = [{{ peer = \"a\", incident = \"waiting\", held = \"unknown-outcome\" }}]"
    ));
}

#[test]
fn an_operator_can_freeze_thaw_and_close() {
    let given = |at: &str, deed: &str| {
        format!(
            "given = [{{ at = \"1s\", operator = \"freeze\" }}, \
             {{ at = \"5s\", peer = \"a\", check = \"web\", says = \"fail\" }}, \
             {{ at = \"{at}\", {deed} }}]\nrungs = [{{ rung = \"reload\", helps = true }}]\n"
        )
    };
    holds(&format!(
        "{}expect = [{{ held = \"frozen\" }}, {{ rung = \"reload\", after = \"40s\" }}]",
        given("1m", "operator = \"thaw\"")
    ));
    holds(&format!(
        "{}expect = [{{ held = \"frozen\" }}, {{ incident = \"closed\" }}]\nexpect_no = [{{ rung = \"*\" }}]",
        given("1m", "operator = \"close\", peer = \"a\"")
    ));
    let closed = "finally = [{ peer = \"a\", incident = \"closed\" }]";
    fails(
        &format!("{}{closed}", given("1m", "operator = \"thaw\"")),
        "is resolved after 1 attempt",
    );
}

#[test]
fn an_operator_can_approve_deny_and_start_a_maintenance() {
    let asks =
        DOCUMENTS.replace("run = \"true\"\ntimeout", "run = \"true\"\napprove = true\ntimeout");
    let played = |deed: &str, expect: &str| {
        let text = format!(
            "{asks}given = [{{ at = \"5s\", peer = \"a\", check = \"web\", says = \"fail\" }}, \
             {{ at = \"1m\", operator = \"{deed}\", peer = \"a\" }}]\n\
             rungs = [{{ rung = \"restart\", helps = true }}]\n{expect}"
        );
        let suite = Suite::of(vec![Source { file: "f.toml".to_owned(), text }]).unwrap();
        let verdict = suite.play(&suite.tests[0], 1, |_, _| {});
        assert_eq!(verdict.faults, [], "{:#?}", verdict.history.moments);
    };
    played(
        "approve",
        "expect = [{ rung = \"reload\" }, { held = \"awaiting-approval\" }, { notice = \"ops\" }, \
         { rung = \"restart\", after = \"20s\" }, { incident = \"resolved\" }]",
    );
    played(
        "deny",
        "expect = [{ held = \"awaiting-approval\" }]\nexpect_no = [{ rung = \"restart\" }]\n\
         finally = [{ peer = \"a\", incident = \"escalated\" }]",
    );
    holds(
        "given = [{ at = \"1s\", operator = \"maintenance\", peer = \"a\", for = \"1m\" }, \
                  { at = \"5s\", peer = [\"a\", \"b\"], check = \"web\", says = \"fail\" }]\n\
         rungs = [{ rung = \"reload\", helps = true }]\n\
         expect = [{ rung = \"reload\", peer = \"b\", within = \"30s\" }, \
                   { rung = \"reload\", peer = \"a\", after = \"30s\" }]",
    );
}

#[test]
fn what_takes_a_rung_back_is_told_and_is_not_the_rung() {
    let undone = DOCUMENTS.replace(
        "name = \"reload\"\nrun = \"true\"",
        "name = \"reload\"\nrun = \"true\"\nundo = \"true\"",
    );
    let text = format!(
        "{undone}{FAILS}rungs = [{{ rung = \"reload\", ends = \"failed\" }}, \
         {{ rung = \"restart\", helps = true }}]\n\
         expect = [{{ rung = \"reload\", ends = \"failed\" }}, {{ rung = \"restart\" }}]"
    );
    let suite = Suite::of(vec![Source { file: "f.toml".to_owned(), text }]).unwrap();
    let verdict = suite.play(&suite.tests[0], 1, |_, _| {});
    assert_eq!(verdict.faults, [], "{:#?}", verdict.history.moments);
    let told = |text: &str| verdict.history.moments.iter().any(|moment| moment.text.contains(text));
    assert!(told("a undoes rung \"reload\" for a"), "{:#?}", verdict.history.moments);
    assert_eq!(verdict.history.actions(), 2);
}

#[test]
fn a_warning_and_a_peer_that_comes_back_are_seen() {
    holds(
        "given = [{ at = \"5s\", peer = \"b\", check = \"web\", says = \"warn\" }, \
                  { at = \"1m\", peer = \"b\", check = \"web\", says = \"pass\" }]\n\
         expect = [{ incident = \"opened\", peer = \"b\" }, { incident = \"resolved\" }]",
    );
    holds(
        "given = [{ at = \"5s\", peer = \"b\", check = \"web\", says = \"unknown\" }]\n\
         expect_no = [{ incident = \"opened\" }]",
    );
    holds(
        "given = [{ at = \"5s\", peer = \"a\", is = \"dark\" }, { at = \"1m\", peer = \"a\", is = \"back\" }]\n\
         expect = [{ incident = \"opened\", about = \"silence\" }, { held = \"no-runbook\" }, \
                   { incident = \"resolved\", within = \"1m\" }]",
    );
}

#[test]
fn a_test_goes_on_until_a_slow_check_has_made_its_verdict() {
    let slow = "[[check]]\nname = \"slow\"\nevery = \"10m\"\nfail_after = 3\ncommand = \"true\"\n\
                [[test]]\nname = \"t\"\npeers = { a = {} }\n\
                given = [{ at = \"5s\", peer = \"a\", check = \"slow\", says = \"fail\" }]\n\
                expect = [{ incident = \"opened\", after = \"20m\", within = \"31m\" }]\n";
    let source = Source { file: "f.toml".to_owned(), text: slow.to_owned() };
    let suite = Suite::of(vec![source]).unwrap();
    let mut heard = 0;
    let verdict = suite.play(&suite.tests[0], 1, |_, _| heard += 1);
    assert_eq!(verdict.faults, []);
    assert!(heard > 40, "a long test says how far it is");
}

#[test]
fn the_history_is_told_in_the_tests_own_times() {
    let text = format!("{DOCUMENTS}{FAILS}expect = [{{ rung = \"reload\" }}]");
    let suite = Suite::of(vec![Source { file: "f.toml".to_owned(), text }]).unwrap();
    let verdict = suite.play(&suite.tests[0], 1, |_, _| {});
    let lines: Vec<String> =
        verdict.history.moments.iter().map(|moment| moment.text.clone()).collect();
    assert_eq!(lines[0], "given: check \"web\" says fail on a");
    assert!(lines.iter().all(|line| !line.contains("2026-")), "{lines:#?}");
    assert!(verdict.history.moments.is_sorted_by_key(|moment| moment.at));
    assert_eq!(history::clock(Duration::from_millis(3_725_350)), "1:02:05.3");
    assert_eq!(history::clock(Duration::from_millis(65_350)), "1:05.3");
}
