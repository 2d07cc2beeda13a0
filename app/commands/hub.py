"""What the commands that speak with the hub share: which hub, which repository, which of its models."""

from __future__ import annotations

from app.errors import AppError
from app.hub.endpoint import Hub, endpoint_of
from app.hub.listing import open_repository
from app.hub.names import repository_id
from app.hub.repository import RemoteModel, Repository
from app.hub.token import TokenStore
from app.settings import Settings


def hub_of(settings: Settings) -> Hub:
    """The hub of the settings, with the token that is kept for it."""
    endpoint = endpoint_of(settings.hub_endpoint)
    return Hub(endpoint, TokenStore().get(endpoint))


def find_repository(hub: Hub, text: str) -> Repository:
    """The repository of an id or address. Raises AppError where it has nothing that can be used."""
    identity = repository_id(text)
    if identity is None:
        raise AppError(f"“{text}” is neither a file nor a repository.", "A repository looks like “owner/model”.")
    repository = open_repository(hub, identity)
    if repository.problem:
        raise AppError(repository.problem)
    return repository


def pick_model(repository: Repository, name: str) -> RemoteModel:
    """The model whose label, path or file name this is. Raises AppError that lists what there is."""
    wanted = name.casefold()
    for model in repository.models:
        if wanted in (model.label.casefold(), model.key.casefold(), model.files[0].name.casefold()):
            return model
    raise AppError(f"{repository.id} has no “{name}”.", f"It has {', '.join(m.label for m in repository.models)}.")
