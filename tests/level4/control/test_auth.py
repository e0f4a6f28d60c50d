"""Who may do what."""

import stat
import sys
from pathlib import Path

import pytest

from level4_deployment.control.auth import PERMISSIONS, AccessError, make_tokens, name_of, read_digests, read_token


def test_each_name_may_do_what_it_is_there_for_and_nothing_else(tmp_path: Path) -> None:
    make_tokens(tmp_path)
    for name, may in PERMISSIONS.items():
        for act in ("submit", "labels", "operate"):
            if act in may:
                assert name_of(read_digests(tmp_path), read_token(tmp_path, name), act) == name
            else:
                with pytest.raises(AccessError, match=f"{name} may not {act}"):
                    name_of(read_digests(tmp_path), read_token(tmp_path, name), act)


def test_a_strange_token_is_nobodys(tmp_path: Path) -> None:
    make_tokens(tmp_path)
    for token in ("", "x", read_token(tmp_path, "operator")[:-1]):
        with pytest.raises(AccessError, match="unknown token"):
            name_of(read_digests(tmp_path), token, "operate")


def test_tokens_stay_and_the_platform_keeps_only_their_digests(tmp_path: Path) -> None:
    make_tokens(tmp_path)
    token = read_token(tmp_path, "operator")
    make_tokens(tmp_path)
    assert read_token(tmp_path, "operator") == token
    assert token not in (tmp_path / "tokens" / "digests.json").read_text()
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "tokens" / "operator").stat().st_mode) == 0o600
