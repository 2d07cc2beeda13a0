"""The local hub, for all tests of app.hub."""

from tests.hub_server.fixtures import hub, starter_repository

__all__ = ["hub", "starter_repository"]
