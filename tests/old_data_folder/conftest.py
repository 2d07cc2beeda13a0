"""The hub that the half-finished download goes on with."""

from tests.hub_server.fixtures import hub as hub
