from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend

from app.errors import HubError
from app.hub.token import TokenStore, user_name
from app.hub.transport import Hub
from tests.hub_server import HubServer

HERE = "https://huggingface.co"


class Ring(KeyringBackend):
    priority = 5.0  # type: ignore[assignment]

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = broken

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise RuntimeError("the session bus is gone")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.broken:
            raise RuntimeError("locked")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_token_is_kept_in_the_keyring_for_its_hub_alone(ring: Ring) -> None:
    assert TokenStore().set(HERE, " hf_x\n")
    assert TokenStore().get(HERE) == "hf_x"
    assert TokenStore().get("http://mirror.example") == ""
    TokenStore().forget(HERE)
    assert ring.kept == {}


@pytest.mark.parametrize("trouble", ["broken", "none"])
def test_without_a_keyring_it_is_in_memory(ring: Ring, trouble: str) -> None:
    if trouble == "broken":
        ring.broken = True
    else:
        keyring.set_keyring(keyring.backends.fail.Keyring())
    store = TokenStore()
    assert not store.set(HERE, "hf_x")
    assert store.get(HERE) == "hf_x"
    assert TokenStore().get(HERE) == ""


def test_whose_token_it_is(hub: HubServer, starter_repository: str) -> None:
    hub.gate(starter_repository, "hf_right")
    assert user_name(Hub(hub.endpoint, "hf_right")) == "someone"
    with pytest.raises(HubError, match="token"):
        user_name(Hub(hub.endpoint, "hf_wrong"))
