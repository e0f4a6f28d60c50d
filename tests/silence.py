"""How long a command says nothing: run it as a user would, on pipes, and note when something comes.

`python -m tests.silence make train` shows what a command says, and then its longest silences.
"""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

from shared.settings import PROJECT

ALLOWED = 8.0  # seconds; two are promised, and beside other tests everything takes several times as long


@dataclass(frozen=True)
class Said:
    """What a command said, its exit status, and its silences: seconds, and the last words before.

    ending: seconds from the last word to the end of the process, in which Python closes what libraries have open;
    beside other tests that is a matter of the machine, so it is not among the silences.
    """

    status: int
    out: str
    err: str
    silences: list[tuple[float, str]]  # the longest first
    ending: float

    @property
    def longest(self) -> float:
        """The longest silence in seconds, that before the first word among them."""
        return self.silences[0][0]


def listen(command: list[str], **environment: str) -> Said:
    """Run a command to its end, in the project's folder; `environment` is set beside this process's own."""
    heard, said = [(time.monotonic(), "")], {"out": b"", "err": b""}
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout
        assert process.stderr

        def follow(name: str, pipe: IO[bytes]) -> None:
            while part := pipe.read(4096):
                said[name] += part
                heard.append((time.monotonic(), part.decode(errors="replace")))

        ears = [
            threading.Thread(target=follow, args=(name, pipe))
            for name, pipe in (("out", process.stdout), ("err", process.stderr))
        ]
        for ear in ears:
            ear.start()
        for ear in ears:
            ear.join()
        process.wait()
    ending = time.monotonic() - heard[-1][0]
    silences = [(after - before, words.strip()[-60:]) for (before, words), (after, _) in pairwise(heard)]
    silences = silences or [(ending, "")]  # it has said nothing at all
    out, err = (said[name].decode(encoding="utf-8") for name in ("out", "err"))
    return Said(process.returncode, out, err, sorted(silences, reverse=True), ending)


if __name__ == "__main__":
    told = listen(sys.argv[1:])
    print(told.out + told.err)  # noqa: T201
    for seconds, words in [*told.silences[:8], (told.ending, "the last word")]:
        print(f"{seconds:5.2f} s of silence after {words!r}")  # noqa: T201
    sys.exit(told.status)
