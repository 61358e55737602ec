"""Three nodes, their cluster and a client: what tests of calls begin with."""

from __future__ import annotations

from fake import Cluster, FakeNode
from kho_client import Client, Signed
from kho_client.timing import Timing
from logs import authority, pem_signer, report, signer_of

SIGNER = pem_signer(signer_of(authority("Root")))
QUICK = Timing(deadline=1.2, attempt=0.4)


class Scene:
    def __init__(self) -> None:
        self.cluster = Cluster()
        self.nodes = [FakeNode(self.cluster, id_) for id_ in (1, 2, 3)]
        self.client = self.connect()

    def connect(self, timing: Timing = QUICK) -> Client:
        return Client([node.address for node in self.nodes], None, self.cluster.log.verifier, timing)

    def all_say(self, *words: object) -> None:
        for node in self.nodes:
            node.says = list(words)  # type: ignore[arg-type]

    @property
    def asked(self) -> int:
        return sum(len(node.asked) for node in self.nodes)

    def kill_all(self) -> None:
        for node in self.nodes:
            node.kill()

    def start_all(self) -> None:
        """At the same addresses."""
        self.nodes = [FakeNode(self.cluster, node.id, port=node.port) for node in self.nodes]

    def close(self) -> None:
        self.client.close()
        self.kill_all()


def sign(**more: object) -> Signed:
    return report(**more).sign(SIGNER)
