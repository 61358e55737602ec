//! What answers requests, wired over one log.

use std::path::Path;
use std::sync::Arc;

use kho_proto::certificate::TrustRoots;
use kho_proto::id::Epoch;
use tokio_util::sync::CancellationToken;

use super::prepare::Keys;
use crate::admin::{AdminService, Formation};
use crate::api::{ForwardService, StoreService};
use crate::config::Config;
use crate::consensus::{Consensus, StateStore};
use crate::disk::Disk;
use crate::pulse::Pulse;
use crate::read::{self, Barrier, Opener, Reader};
use crate::seams::{Dial, Seams};
use crate::storage::fatal::FatalSwitch;
use crate::write::{self, Peers, Queue, Quotas, Receipts, Room, Route, Sealer, Verifier, Writer};

/// The first primacy of a cluster's first site. Others come with promotion records.
pub(super) const EPOCH_FIRST: Epoch = Epoch(1);

/// The open log, and the way to the other nodes.
pub(super) struct Log {
    pub consensus: Consensus,
    pub state: StateStore,
    pub dial: Arc<dyn Dial>,
    pub disk: Arc<Disk>,
    pub fatal: FatalSwitch,
}

/// The services of all planes.
pub(super) struct Services {
    pub formation: Arc<Formation>,
    pub store: StoreService,
    pub forward: ForwardService,
    pub admin: AdminService,
    pub pulse: Arc<Pulse>,
}

impl Services {
    pub fn of(
        config: &Config,
        seams: &Seams,
        log: Log,
        keys: Option<&Keys>,
        signers: TrustRoots,
        data_dir: &Path,
        stopping: CancellationToken,
    ) -> Self {
        let Log { consensus, state, dial, disk, fatal } = log;
        let (node, cluster, epoch) = (config.node(), config.cluster_id, EPOCH_FIRST);
        let members = config.members();
        let leader = consensus.watch_leader();
        let peers = Arc::new(Peers::new(consensus.clone(), dial, seams.tasks.clone()));
        let receipts = keys.map(|keys| Arc::new(Receipts::new(state.clone(), keys.notary.clone())));
        let pulse = Pulse::new(node, consensus.clone(), peers.clone(), seams.clock.clone(), disk.clone());
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
        let barrier = Barrier::start(node, consensus.clone(), leader.clone(), peers, &*seams.tasks);
        let (mut write_keyed, mut read_keyed) = (None, None);
        if let (Some(keys), Some(receipts)) = (keys, receipts) {
            let sealer = Sealer::new(cluster, keys.data_keys.clone(), seams.entropy.clone(), barrier.clone());
            write_keyed = Some(write::Keyed { sealer, receipts: receipts.clone() });
            let opener = Opener::new(cluster, keys.data_keys.clone());
            read_keyed = Some(read::Keyed { opener, receipts });
        }
        let verifier = Verifier::new(signers, seams.clock.clone());
        let quotas = Quotas::new(&config.quotas, seams.clock.clone());
        let (writer_state, queue_of_writer) = (state.clone(), queue.clone());
        let writer = Writer {
            node,
            state: writer_state,
            keyed: write_keyed,
            disk: disk.clone(),
            quotas,
            verifier,
            queue: queue_of_writer,
        };
        let writer = Arc::new(writer);
        let reader = Arc::new(Reader { node, state: state.clone(), barrier, keyed: read_keyed });
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
            data_dir: data_dir.to_owned(),
            clock: seams.clock.clone(),
            tasks: seams.tasks.clone(),
            started: seams.clock.monotonic(),
            keyed: keys.is_some(),
            pulse: pulse.clone(),
            disk,
        };
        let store = StoreService {
            node,
            epoch,
            leader: leader.clone(),
            writer,
            reader,
            room: Room::new(config.limits.records_mib << 20),
            streams: StoreService::stream_places(),
            tasks: seams.tasks.clone(),
            stopping,
        };
        let forward =
            ForwardService { node, gate: consensus.peer_gate(), consensus, leader, queue, pulse: pulse.clone() };
        Self { formation, store, forward, admin, pulse }
    }
}
