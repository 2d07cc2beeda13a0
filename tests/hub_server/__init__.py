"""A hub of one's own: enough of the Hugging Face Hub's protocol for the real client, with faults on request."""

from tests.hub_server.faults import Fault
from tests.hub_server.server import HubServer

__all__ = ["Fault", "HubServer"]
