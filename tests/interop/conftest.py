"""The fixture ``peer``: the published package, running."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.interop.peer import Peer, PeerMissingError, find_peer_python


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Skip where 0.9.2 cannot be installed; on CI (``CI=true``) that is an error."""
    try:
        python = find_peer_python()
    except PeerMissingError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"no environment with zarr-vectors 0.9.2: {error}")
    running = Peer(python, tmp_path_factory.mktemp("peer"))
    yield running
    running.close()
