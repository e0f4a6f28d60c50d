"""`python -m tests.level5.take_pictures` takes new pictures of the page that `make level5` has written."""

from typing import Literal

from level5_monitoring import config
from level5_monitoring.dashboard import page
from shared.console import console
from shared.settings import PROJECT
from tests.level5.browser import opened

PICTURES = PROJECT / "level5_monitoring" / "pictures"
SHOTS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "year.png": (1280, 1240, "light"),
    "phone.png": (390, 1560, "dark"),
}  # pixels of CSS; a picture has twice as many


def main() -> None:
    written = config.own(config.configure()) / page.FILE
    for name, (width, height, scheme) in SHOTS.items():
        with opened(written.as_uri(), width, scheme, scale=2) as shown:
            shown.set_viewport_size({"width": width, "height": height})
            shown.screenshot(path=PICTURES / name)
        console.print(f"{PICTURES / name}: of {written}", markup=False)


if __name__ == "__main__":
    main()
