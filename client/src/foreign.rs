//! Nodes whose answers were not Kho's. One address that leads to a proxy, or one node that does not know a call yet, says nothing
//! of the others: they are asked, and only when all answer like that nothing else can come of it.

use std::collections::BTreeMap;

use crate::attempt::Failed;

/// Of one call: addresses whose last answer was foreign, and what they said.
#[derive(Debug, Default)]
pub(crate) struct Foreign(BTreeMap<String, String>);

impl Foreign {
    /// The attempt at `address` failed; true: nothing better can come of another one, at any of so many nodes.
    pub fn ends(&mut self, address: &str, failed: &Failed, nodes: usize) -> bool {
        match failed {
            Failed::Foreign(status) => {
                self.0.insert(address.to_owned(), status.clone());
                self.0.len() >= nodes
            }
            failed => {
                self.0.remove(address);
                !failed.retry()
            }
        }
    }

    /// What is said of a call that ended otherwise: the last failure, and who is no Kho node.
    pub fn beside(&self, last: &Failed) -> String {
        let foreign = self.0.iter().map(|(address, status)| format!("the answer of {address} is not Kho's: {status}"));
        let last = (!matches!(last, Failed::Foreign(_))).then(|| last.to_string());
        last.into_iter().chain(foreign).collect::<Vec<_>>().join("; ")
    }
}
