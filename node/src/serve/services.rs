//! What answers requests, wired over one log.

use std::path::Path;
use std::sync::Arc;

use kho_proto::certificate::TrustRoots;
use kho_proto::id::Epoch;
use tokio_util::sync::CancellationToken;

use super::prepare::Keys;
use crate::admin::{AdminService, Formation, Revoker};
use crate::api::{ForwardService, NodeStreams, StoreService};
use crate::catalogue::Follower;
use crate::config::Config;
use crate::consensus::{Consensus, StateStore};
use crate::disk::Disk;
use crate::publish::PublicLog;
use crate::pulse::Pulse;
use crate::read::{self, Barrier, Opener, Reader};
use crate::seams::{Dial, Seams};
use crate::storage::fatal::FatalSwitch;
use crate::write::attach::Orphans;
use crate::write::{
    self, Members, Peers, Queue, Quotas, Receipts, Revocations, Room, Route, Sealer, Uploads, Verifier, Writer,
};

/// The first primacy of a cluster's first site. Others come with promotion records.
pub(super) const EPOCH_FIRST: Epoch = Epoch(1);

/// The open log, and the way to the other nodes.
pub(super) struct Log {
    pub consensus: Consensus,
    pub state: StateStore,
    pub dial: Arc<dyn Dial>,
    pub disk: Arc<Disk>,
    pub fatal: FatalSwitch,
    /// Ends watches and streams of records, before connections are drained.
    pub stopping: CancellationToken,
}

/// The services of all planes.
pub(super) struct Services {
    pub formation: Arc<Formation>,
    pub revoker: Arc<Revoker>,
    pub verifier: Arc<Verifier>,
    pub store: StoreService,
    pub forward: ForwardService,
    pub admin: AdminService,
    pub log: Arc<PublicLog>,
    pub pulse: Arc<Pulse>,
    pub orphans: Orphans,
}

impl Services {
    pub fn of(
        config: &Config,
        seams: &Seams,
        log: Log,
        keys: Option<&Keys>,
        signers: TrustRoots,
        data_dir: &Path,
    ) -> Self {
        let Log { consensus, state, dial, disk, fatal, stopping } = log;
        let (node, cluster, epoch) = (config.node(), config.cluster_id, EPOCH_FIRST);
        let members = config.members();
        let leader = consensus.watch_leader();
        let peers = Arc::new(Peers::new(consensus.clone(), dial, seams.tasks.clone()));
        let receipts = keys.map(|keys| Arc::new(Receipts::new(state.clone(), keys.notary.clone())));
        let pulse =
            Pulse::new(node, consensus.clone(), peers.clone(), seams.clock.clone(), disk.clone(), keys.is_some());
        let route = Route {
            node,
            epoch,
            consensus: consensus.clone(),
            leader: leader.clone(),
            peers: peers.clone(),
            receipts: receipts.clone(),
            pulse: pulse.clone(),
            clock: seams.clock.clone(),
            fatal,
        };
        let queue = Queue::start(&config.limits, Arc::new(route), seams.tasks.clone());
        let barrier = Barrier::start(node, consensus.clone(), leader.clone(), peers.clone(), &*seams.tasks);
        let log = Arc::new(PublicLog::new(state.clone(), receipts.clone(), seams.tasks.clone()));
        let (mut write_keyed, mut read_keyed, mut catalogue) = (None, None, None);
        if let (Some(keys), Some(receipts)) = (keys, receipts) {
            let sealer = Sealer::new(cluster, keys.data_keys.clone(), seams.entropy.clone(), barrier.clone());
            let opener = || Opener::new(cluster, keys.data_keys.clone());
            catalogue = config.catalogue.keeper().map(|unit| {
                let of = (consensus.clone(), state.clone());
                let seams = (seams.tasks.clone(), seams.clock.clone());
                Follower::new(unit, opener(), of, barrier.clone(), seams)
            });
            write_keyed = Some(write::Keyed { sealer, receipts: receipts.clone(), catalogue: catalogue.clone() });
            let opener = opener();
            read_keyed = Some(read::Keyed::new(opener, receipts));
        }
        let revocations = Arc::new(Revocations::new(state.clone(), config.signers.revocation_policy()));
        let verifier = Verifier::new(signers, seams.clock.clone()).with_revocations(revocations.clone());
        let verifier = Arc::new(verifier);
        let members_known = Arc::new(Members { node, consensus: consensus.clone(), peers });
        let revoker = Arc::new(Revoker {
            members: members_known.clone(),
            queue: queue.clone(),
            barrier: barrier.clone(),
            verifier: verifier.clone(),
            revocations,
            clock: seams.clock.clone(),
        });
        let writer = Arc::new(Writer {
            node,
            state: state.clone(),
            keyed: write_keyed,
            disk: disk.clone(),
            quotas: Quotas::new(&config.quotas, seams.clock.clone()),
            verifier: verifier.clone(),
            queue: queue.clone(),
        });
        let uploads =
            Uploads::new(&config.attachments, writer.clone(), barrier.clone(), members_known, seams.tasks.clone());
        let orphans = Orphans {
            node,
            after: Orphans::after(&config.attachments),
            state: state.clone(),
            leader: leader.clone(),
            queue: queue.clone(),
            clock: seams.clock.clone(),
            tasks: seams.tasks.clone(),
        };
        let from = (consensus.clone(), state.clone());
        let reader = Arc::new(Reader::new(node, from, barrier, read_keyed, seams, stopping.clone(), catalogue));
        let formation = Arc::new(Formation {
            cluster,
            node,
            epoch,
            members: members.keys().copied().collect(),
            consensus: consensus.clone(),
            state: state.clone(),
            leader: leader.clone(),
            queue: queue.clone(),
            notary: keys.map(|keys| keys.notary.clone()),
            clock: seams.clock.clone(),
        });
        let admin = AdminService {
            cluster,
            consensus: consensus.clone(),
            state,
            formation: formation.clone(),
            revoker: revoker.clone(),
            data_dir: data_dir.to_owned(),
            clock: seams.clock.clone(),
            tasks: seams.tasks.clone(),
            started: seams.clock.monotonic(),
            keyed: keys.is_some(),
            log_address: config.listen.log.clone(),
            pulse: pulse.clone(),
            disk,
        };
        let store = StoreService {
            node,
            epoch,
            leader: leader.clone(),
            writer,
            uploads: Arc::new(uploads),
            reader,
            room: Room::new(config.limits.records_mib << 20),
            streams: NodeStreams::default(),
            tasks: seams.tasks.clone(),
            stopping,
        };
        let forward =
            ForwardService { node, gate: consensus.peer_gate(), consensus, leader, queue, pulse: pulse.clone() };
        Self { formation, revoker, verifier, store, forward, admin, log, pulse, orphans }
    }
}
