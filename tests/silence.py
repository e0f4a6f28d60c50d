"""How long a command prints nothing: run it on pipes, and note the time of each output.

`python -m tests.silence make train` shows the output of a command, and then its longest silences.
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

ALLOWED = 8.0  # seconds; the aim is two, but beside other tests everything takes several times as long


@dataclass(frozen=True)
class Said:
    """What a command printed, its exit status, and its silences: seconds, and the last output before.

    ending: seconds from the last output to the end of the process, in which Python closes what libraries have open.
    It depends on what else the machine does, so it is not among the silences.
    """

    status: int
    out: str
    err: str
    silences: list[tuple[float, str]]  # the longest first
    ending: float

    @property
    def longest(self) -> float:
        """The longest silence in seconds; the time before the first output counts too."""
        return self.silences[0][0]


def listen(command: list[str], **environment: str) -> Said:
    """Run a command to its end, in the project's folder, with `environment` added to this process's own."""
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

        pipes = (("out", process.stdout), ("err", process.stderr))
        followers = [threading.Thread(target=follow, args=each) for each in pipes]
        for follower in followers:
            follower.start()
        for follower in followers:
            follower.join()
        process.wait()
    ending = time.monotonic() - heard[-1][0]
    silences = [(after - before, words.strip()[-60:]) for (before, words), (after, _) in pairwise(heard)]
    silences = silences or [(ending, "")]  # it printed nothing at all
    out, err = (said[name].decode(encoding="utf-8") for name in ("out", "err"))
    return Said(process.returncode, out, err, sorted(silences, reverse=True), ending)


if __name__ == "__main__":
    printed = listen(sys.argv[1:])
    print(printed.out + printed.err)  # noqa: T201
    for seconds, words in [*printed.silences[:8], (printed.ending, "the last output")]:
        print(f"{seconds:5.2f} s of silence after {words!r}")  # noqa: T201
    sys.exit(printed.status)
