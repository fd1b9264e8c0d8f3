//! What a test asks of the past: incidents, executions, records.

use super::{Driver, world::rung_of};
use protocol::{agent::Output, ledger::incident::Incident, record::Record};

impl Driver {
    pub(crate) fn history(&self) -> String {
        let lines = self.ledger.incidents().values().flat_map(|incident| {
            incident.timeline.iter().map(move |line| format!("{} {:?}", incident.id, line))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The only incident.
    pub(crate) fn incident(&self) -> &Incident {
        let all: Vec<&Incident> = self.ledger.incidents().values().collect();
        assert_eq!(all.len(), 1, "one incident\n{}", self.history());
        all[0]
    }

    /// Peer and rung of every execution, in order.
    pub(crate) fn executed(&self) -> Vec<(u64, String)> {
        self.outputs
            .iter()
            .filter_map(|(n, _, output)| {
                let Output::Execute(order) = output else { return None };
                Some((*n, rung_of(order)))
            })
            .collect()
    }

    /// The records in the log since the test began.
    pub(crate) fn records(&self) -> Vec<&Record> {
        self.log.iter().map(|(_, entry)| &entry.record).collect()
    }

    /// How many outputs are like this.
    pub(crate) fn count(&self, like: impl Fn(&Output) -> bool) -> usize {
        self.outputs.iter().filter(|(_, _, output)| like(output)).count()
    }
}
