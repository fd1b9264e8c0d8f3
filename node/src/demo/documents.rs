//! The demo's documents: what is looked at, and what is done about it.

use std::{net::SocketAddr, path::Path};

/// The documents as an operator would write them.
pub(super) fn text(program: &Path, folder: &Path, service: SocketAddr) -> String {
    let (program, folder) = (program.display(), folder.display());
    format!(
        r#"# A small web service on one host.
[[check]]
name  = "web-answers"
http  = "http://{service}/"
every = "500ms"
where = {{ role = "web" }}

[[runbook]]
name     = "restart-web"
on       = {{ check = "web-answers" }}
cooldown = "0s"

[[runbook.evidence]]
run = "ps -o pid,etime,args | head -50; echo; ls -l '{folder}'"

[[runbook.rung]]
name = "start it again"
settle = "2s"
run  = "'{program}' demo-service --listen {service} --pid-file '{folder}/web.pid' >/dev/null 2>&1 &"

# Something whose repair takes its time: long enough to kill the leader in the middle.
[[check]]
name    = "index-is-fresh"
command = "test -e '{folder}'/$HEARTEN_PEER.index || {{ echo the index is gone; exit 2; }}"
every   = "500ms"
where   = {{ role = "app" }}

[[runbook]]
name     = "rebuild-index"
on       = {{ check = "index-is-fresh" }}
cooldown = "0s"

[[runbook.rung]]
name    = "rebuild"
run     = "echo $HEARTEN_INCIDENT/$HEARTEN_ATTEMPT >> '{folder}/rebuilds'; sleep 4; touch '{folder}'/$HEARTEN_PEER.index"
timeout = "30s"

# A host that does not answer: its neighbour brings the agent back.
[[runbook]]
name     = "host-is-silent"
on       = {{ peer = "silent" }}
cooldown = "0s"

[[runbook.rung]]
name = "start its agent"
by   = "neighbour"
run  = "echo $HEARTEN_WORKER started $HEARTEN_PEER; '{program}' --data-dir '{folder}'/$HEARTEN_PEER run >> '{folder}'/$HEARTEN_PEER.log 2>&1 &"
timeout = "20s"
settle  = "2s"

[limits]
at_once = 2
"#
    )
}
