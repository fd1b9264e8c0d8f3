#!/usr/bin/env python3
"""A Hearten plugin: files that lie in a spool for too long.

    [[check]]
    name     = "spool"
    every    = "1m"
    plugin   = "/usr/local/lib/hearten/stuck-files.py"
    settings = { folder = "/var/spool/app", max_age = 600, keep = "/var/spool/app.stuck" }

    [[runbook]]
    name = "unblock-spool"
    on   = { check = "spool" }

    [[runbook.rung]]
    name    = "move them aside"
    heal    = true
    timeout = "30s"

It is started once for each phase. One object of JSON comes in on standard input; what it has to
say goes out on standard output, one object of JSON a line. What it prints as errors is for people
only. It exits with 0 when it could do what it was asked for, whatever it found.
"""

import json
import os
import sys
import time


def say(**line):
    print(json.dumps(line), flush=True)


def stuck(settings):
    """The files that are too old, the oldest first."""
    found = []
    for entry in os.scandir(settings["folder"]):
        age = time.time() - entry.stat(follow_symlinks=False).st_mtime
        if entry.is_file(follow_symlinks=False) and age > settings.get("max_age", 600):
            found.append((age, entry.path))
    return sorted(found, reverse=True)


def scan(told):
    """Is anything wrong? Each finding is one line; no finding is a pass."""
    for age, path in stuck(told["settings"]):
        say(finding=f"{path} lies there for {age:.0f} s", severity="fail", path=path)


def analyse(told):
    """What can be known about it, before anything is changed, and whether healing would help."""
    for finding in told["earlier"].get("scan", []):
        status = os.stat(finding["path"])
        say(evidence=finding["path"], text=f"{status.st_size} bytes of user {status.st_uid}")
    say(wants_heal="keep" in told["settings"])


def heal(told):
    """Mend it, and say what was done."""
    keep = told["settings"]["keep"]
    os.makedirs(keep, exist_ok=True)
    for _, path in stuck(told["settings"]):
        os.replace(path, os.path.join(keep, os.path.basename(path)))
        say(action=f"moved {path} to {keep}")


told = json.load(sys.stdin)
{"scan": scan, "analyse": analyse, "heal": heal}[told["phase"]](told)
