//! What is measured of each system.

use kho::bench::Pace;
use kho::bench::report::SeriesOf;
use kho::bench::round::{To, Work};
use kho::bench::store::Operation;
use kho_proto::signature::Algorithm;

/// Records of a call of Kho's that submits many.
pub const BATCH: usize = 64;
/// Records under way on each of Kho's streams.
pub const IN_FLIGHT: usize = 64;

/// Work, and how its records are signed, where that matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What is done.
    pub work: Work,
    /// Not Ed25519.
    pub algorithm: Option<Algorithm>,
}

impl Step {
    fn new(operation: Operation, size: usize, connections: usize) -> Self {
        let lanes = if operation == Operation::Stream { IN_FLIGHT } else { 1 };
        let work = Work { operation, size, connections, lanes, pace: Pace::Closed, to: To::Spread };
        Self { work, algorithm: None }
    }

    /// As it stands in reports.
    pub fn of(&self, system: &str) -> SeriesOf {
        let detail = match (self.algorithm, self.work.to) {
            (Some(algorithm), _) => Some(algorithm.as_str()),
            (None, To::Followers) => Some("of followers"),
            (None, To::Leader) => Some("of the leader"),
            (None, To::Spread) => None,
        };
        SeriesOf::of(system, &self.work, detail)
    }
}

/// A record a call, of each size, over each number of connections: what every system does.
pub fn singles(sizes: &[usize], connections: &[usize]) -> Vec<Step> {
    let all = sizes.iter().flat_map(|size| connections.iter().map(|connections| (*size, *connections)));
    all.map(|(size, connections)| Step::new(Operation::Single, size, connections)).collect()
}

/// Each step of another algorithm right behind the one that it is held against: between the two no other load may leave
/// work behind (tables to flush and to merge after large records), which the later one would pay for.
pub fn twins_together(steps: Vec<Step>) -> Vec<Step> {
    let (others, mut together): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| step.algorithm.is_some());
    for other in others {
        let twin = together.iter().position(|step| step.of("") == Step { algorithm: None, ..other }.of(""));
        together.insert(twin.map_or(together.len(), |twin| twin + 1), other);
    }
    together
}

/// What Kho does besides: many in a call, streams, RSA signatures, reads from followers.
pub fn besides(size: usize, connections: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    for &connections in connections {
        steps.push(Step::new(Operation::Many(BATCH), size, connections));
        steps.push(Step::new(Operation::Stream, size, connections));
    }
    if let Some(&most) = connections.iter().max() {
        let single = Step::new(Operation::Single, size, most);
        steps.push(Step { algorithm: Some(Algorithm::RsaPkcs1Sha256), ..single });
        let mut read = Step::new(Operation::Read, size, most);
        read.work.to = To::Followers;
        steps.push(read);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_algorithm_is_measured_right_after_what_it_is_held_against() {
        let steps = [singles(&[1024, 16 << 10], &[16, 64]), besides(1024, &[16, 64])].concat();
        let count = steps.len();
        let together = twins_together(steps);
        assert_eq!(together.len(), count);
        let at = together.iter().position(|step| step.algorithm.is_some()).expect("the one with RSA");
        let (twin, rsa) = (&together[at - 1], &together[at]);
        assert_eq!((twin.algorithm, twin.work.size, twin.work.connections), (None, 1024, 64));
        assert_eq!((rsa.work.size, rsa.work.connections), (1024, 64));
    }
}
