#!/bin/sh
# A Hearten plugin in plain shell: a file must be there.
#
#   [[check]]
#   name   = "flag"
#   every  = "30s"
#   plugin = ["/usr/local/lib/hearten/flag.sh", "/run/app/ready"]
#
#   [[runbook]]
#   name = "raise-flag"
#   on   = { check = "flag" }
#
#   [[runbook.rung]]
#   name = "raise it"
#   heal = true
#
# One object of JSON comes in on standard input. A shell cannot read JSON well, but the phase is
# easily found in it; whoever needs more takes jq, or another language.

set -eu
flag=$1
told=$(cat)

case $told in
*'"phase":"scan"'*)
	# Every line that is printed is one object of JSON; nothing printed is a pass.
	[ -e "$flag" ] || printf '{"finding": "%s is missing", "severity": "fail"}\n' "$flag"
	;;
*'"phase":"analyse"'*)
	count=$(find "$(dirname "$flag")" -maxdepth 1 2>/dev/null | wc -l)
	printf '{"evidence": "folder", "text": "%s entries beside it"}\n' "$count"
	printf '{"wants_heal": true}\n'
	;;
*'"phase":"heal"'*)
	mkdir -p "$(dirname "$flag")"
	touch "$flag"
	printf '{"action": "made %s"}\n' "$flag"
	;;
esac
