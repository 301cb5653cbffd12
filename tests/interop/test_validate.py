"""The verdict of 0.9.2 on stores that have been spoiled: what it rejects, we reject."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import zarr_vectors as zv
from tests.interop.peer import Peer, PeerError
from tests.validate.cases import CASES
from tests.validate.spoiling import build

ASKED = ["points", "lines", "skeleton", "graph"]
ONE_OF_EACH = {(base, kind): (name, spoil) for name, base, spoil, kind, _ in CASES if base in ASKED}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sound")
    return {base: build(base, folder / base.replace(" ", "-")) for base in ASKED}


def rejects(peer: Peer, store: Path) -> bool:
    """Whether 0.9.2 finds errors, or cannot even look for them."""
    try:
        return not peer.validate(store)["ok"]
    except PeerError:
        return True


@pytest.mark.parametrize("base", ASKED)
def test_what_the_peer_rejects_is_rejected(sound: dict[str, Path], tmp_path: Path, peer: Peer, base: str) -> None:
    assert not rejects(peer, sound[base])
    verdicts: list[tuple[bool, bool]] = []
    chosen = [case for (where, _), case in ONE_OF_EACH.items() if where == base]
    for number, (name, spoil) in enumerate(chosen):
        store = tmp_path / str(number)
        shutil.copytree(sound[base], store)
        spoil(store)
        verdicts.append((rejects(peer, store), not zv.validate(store).ok))
        assert verdicts[-1] != (True, False), name
        shutil.rmtree(store)
    assert (True, True) in verdicts
    assert (False, True) in verdicts
