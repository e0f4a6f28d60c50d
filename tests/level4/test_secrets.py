"""No password is shown: not on a page, in a log, in the state, in an error or in the list of processes."""

from pathlib import Path

import httpx
import psutil
import pytest
import sqlalchemy as sa

from level4_deployment.control.client import read_addresses
from level4_deployment.control.platform_process import running_platform
from level4_deployment.prediction_log import LogError, open_log, url_of
from shared.errors import show_address
from tests.level4.postgres import new_database
from tests.level4.registries import Registry
from tests.support import environment, words_of

PASSWORD = "s3cr3t@/:#?%"  # noqa: S105
QUOTED = "s3cr3t%40%2F%3A%23%3F%25"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql+psycopg://me:{QUOTED}@db:5432/log?password=s3cr3t", "postgresql+psycopg://db:5432/log"),
        ("postgresql://me:s3cr3t@x/y@db/log", "postgresql://db/log"),
        ("https://me:s3cr3t@hooks.example:8000/services/s3cr3t?token=s3cr3t", "https://hooks.example:8000"),
        ("sqlite:////tmp/a@b c#d%20/log.db?timeout=1", "sqlite:////tmp/a@b c#d%20/log.db"),
        ("me:s3cr3t@db", "db"),
        ("host=db user=me password=s3cr3t", "an address without a scheme"),
        ("HTTPS://hooks.example/services/s3cr3t", "HTTPS://hooks.example"),
        ("https://hooks.example#s3cr3t", "https://hooks.example"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert show_address(address) == shown


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        (f"postgresql+psycopg://me:{QUOTED}@127.0.0.1:9/log", "Remedy: PREDICTION_LOG="),
        ("postgresql+psycopg://me:s3cr3t@part@127.0.0.1:9/log", "Remedy: in a password, write @ as %40"),
        ("postgresql+psycopg://me:x@127.0.0.1:s3cr3t/log", "Remedy: PREDICTION_LOG="),
        ("nothing://me:s3cr3t@127.0.0.1:9/log", "Remedy: PREDICTION_LOG="),
        ("me:s3cr3t@somewhere", "no URL of a database. Remedy: PREDICTION_LOG="),
    ],
)
def test_a_log_that_cannot_be_opened_is_named_without_its_password(address: str, remedy: str) -> None:
    with pytest.raises(LogError) as error, open_log(address):
        pass
    assert remedy in str(error.value)
    assert "s3cr3t" not in str(error.value)
    assert "part@" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_log_in_a_folder_of_any_name_is_opened_there(tmp_path: Path) -> None:
    home = tmp_path / "a b#c%20d@e:f"
    home.mkdir()
    with open_log(url_of(home)):
        assert (home / "log.db").exists()
    assert [one.name for one in tmp_path.iterdir()] == [home.name]
    with pytest.raises(LogError, match=r"takes no \? in .* Remedy: a folder without one"):
        url_of(tmp_path / "a?b")


@pytest.mark.slow
def test_a_platform_never_shows_the_password_of_its_log(
    registry_: Registry, postgresql: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    registry_.client.set_registered_model_alias("flight-delays", "champion", "1")
    address = sa.make_url(new_database(postgresql)).set(password=PASSWORD).render_as_string(hide_password=False)
    assert QUOTED[:9] in address
    with environment(PREDICTION_LOG=address), running_platform(home) as running:
        running.wait_for_control()
        running.wait_until_ready()
        addresses = read_addresses(home)
        pages = [f"{addresses['control']}{path}" for path in ("/status", "/metrics", "/audit")]
        pages += [f"{addresses['service']}{path}" for path in ("/ready", "/metrics")]
        seen = [httpx.get(page, trust_env=False).text for page in pages]
        platform = psutil.Process(running.process.pid)
        seen += [" ".join(words_of(one)) for one in (platform, *platform.children(recursive=True))]
    seen += [file.read_text(errors="replace") for file in home.rglob("*") if file.is_file()]
    seen += [*capfd.readouterr()]
    assert len(seen) > 10
    assert not [text for text in seen if "s3cr3t" in text]
