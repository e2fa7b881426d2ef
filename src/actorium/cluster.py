"""What makes a runtime one of several nodes on one log: `Runtime(…, cluster=Cluster(node="a"))`."""

from actorium.runtime.cluster.cluster import Cluster
from actorium.runtime.errors import FollowerElsewhere, NewerCodeNeeded

__all__ = ["Cluster", "FollowerElsewhere", "NewerCodeNeeded"]
