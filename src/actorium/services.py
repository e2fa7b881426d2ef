"""Services: commands to other applications, and their events, over a bus."""

from actorium.runtime.bus.bus import Bus
from actorium.runtime.services.client import Client
from actorium.runtime.services.service import RemoteService, Service

__all__ = ["Bus", "Client", "RemoteService", "Service"]
