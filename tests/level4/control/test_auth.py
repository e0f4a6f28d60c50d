"""Tokens; `test_api` has what their names may do."""

import stat
import sys
from pathlib import Path

from level4_deployment.control.auth import make_tokens, read_token


def test_tokens_stay_and_the_platform_keeps_only_their_digests(tmp_path: Path) -> None:
    make_tokens(tmp_path)
    token = read_token(tmp_path, "operator")
    make_tokens(tmp_path)
    assert read_token(tmp_path, "operator") == token
    assert token not in (tmp_path / "tokens" / "digests.json").read_text()
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "tokens" / "operator").stat().st_mode) == 0o600
