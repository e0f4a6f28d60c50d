"""The pages of MLflow and Evidently: each starts when somebody first opens it, since together they take 400 MB."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from level5_monitoring.live_demo.activity import Activities
from shared.errors import UserError
from shared.processes.children import Process
from shared.waiting import answers, free_port

Start = Callable[[int], Process]  # on a port
WAITING = "<!doctype html><meta charset='utf-8'><title>{0}</title><p>{0} is starting: about ten seconds.{1}</p>"
MAKING = " Then its reports are made, the newest week first."


@dataclass
class ToolPage:
    """A tool's pages. page: the path to begin with; port: 0 before they were started.

    known_at: from the path of a page, the one where the tool answers once it can show that page. maker: the process
    that makes pages, if one does.
    """

    name: str
    start: Start
    page: str
    known_at: Callable[[str], str]
    maker: Callable[[], Process | None]
    port: int = 0
    process: Process | None = None

    def shows(self, page: str = "") -> bool:
        """Whether they answer now, and can show this one."""
        return bool(self.port) and answers(f"http://127.0.0.1:{self.port}{self.known_at(page) if page else ''}")

    @property
    def ended(self) -> bool:
        """Whether they do not run: nobody has started them, or they have ended."""
        return self.process is None or self.process.poll() is not None


class ToolPages:
    """Starts each tool's pages once; the demo, which offers them, ends them."""

    def __init__(self, activities: Activities) -> None:
        self.activities = activities
        self.all: dict[str, ToolPage] = {}
        self.starting = threading.Lock()

    def offer(
        self,
        name: str,
        start: Start,
        page: str = "",
        known_at: Callable[[str], str] = str,
        maker: Callable[[], Process | None] = lambda: None,
    ) -> None:
        """From now on, `open` knows this tool."""
        self.all[name] = ToolPage(name, start, page, known_at, maker)

    def waiting(self, name: str) -> str:
        """The page that is shown until the tool's own can be."""
        return WAITING.format(name, MAKING if self.all[name].maker() else "")

    def open(self, name: str, at: str = "") -> str:
        """The address of a tool's page; "" while the tool starts, which this begins, or makes the page.

        at: the path of another page than the first one, which is opened if that one is not made. Raises KeyError for an
        unknown tool, and UserError for one that has ended (once), or whose pages could not be made.
        """
        tool = self.all[name]
        with self.starting:
            if tool.process and tool.ended:
                status, tool.process = tool.process.poll(), None
                raise UserError(
                    f"{name}'s pages have ended with status {status}. Remedy: read {name.lower()}-pages.log in the "
                    "demo's folder, then open the link again."
                )
            if tool.process is None:
                tool.port = free_port()
                tool.process = tool.start(tool.port)
                self.activities.begin(f"starting {name}", lambda: tool.shows() or tool.ended)
        page = at if at.startswith("/") else tool.page
        if not tool.shows(page):
            maker = tool.maker()
            if not tool.shows() or (maker and maker.poll() is None):
                return ""
            if maker and maker.poll():
                raise UserError(f"{name}'s reports were not made. Remedy: read reports.log in the demo's folder.")
            page = tool.page
        return f"http://127.0.0.1:{tool.port}{page}"
