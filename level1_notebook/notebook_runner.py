"""Run the notebook without JupyterLab, from a clean kernel, in a folder of its own."""

import asyncio
import atexit
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from level1_notebook.jupyter_environment import NOTEBOOK, jupyter_environment
from shared.artefacts import NOTEBOOK_MODEL
from shared.errors import UserError
from shared.settings import Settings

SECONDS_PER_CELL = 300
AT_ONCE = 3  # kernels: each takes 0.5 GB
Replace = dict[str, str]  # tag of a cell -> its code instead


class NotebookError(UserError):
    """The notebook did not run to its end; the message says where it stopped, and the remedy."""


@dataclass(frozen=True)
class Claim:
    """The scores that a notebook claims."""

    log_loss: float
    auc: float


@dataclass(frozen=True)
class Run:
    """The results of a run: the notebook with its outputs, and the pickle."""

    notebook: NotebookNode
    model: Path

    @property
    def outputs(self) -> list[NotebookNode]:
        """The outputs of all cells."""
        return [output for cell in self.notebook.cells for output in cell.get("outputs", [])]

    @property
    def claim(self) -> Claim:
        """The scores that the notebook printed, read from its output because they exist nowhere else."""
        text = "".join(output.get("text", "") for output in self.outputs)
        found = [re.search(rf"^{name} (\d\.\d+)$", text, re.MULTILINE) for name in ("log loss", "AUC")]
        if not all(found):
            raise NotebookError(f"{NOTEBOOK.name} prints no score. Remedy: print `log loss 0.5` and `AUC 0.7`.")
        return Claim(*(float(match[1]) for match in found if match))

    @property
    def plots(self) -> int:
        """How many pictures it drew."""
        return sum("image/png" in output.get("data", {}) for output in self.outputs)

    @property
    def warnings(self) -> list[str]:
        """What the run wrote to stderr."""
        return [output["text"] for output in self.outputs if output.get("name") == "stderr"]


def read_notebook() -> NotebookNode:
    """The committed notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells() -> int:
    """How many cells of code the notebook has."""
    return sum(cell.cell_type == "code" for cell in read_notebook().cells)


def run_notebooks(settings: Settings, wanted: dict[Path, Replace], progress: Callable[[], None]) -> list[Run]:
    """Run the notebook once in each folder, which is emptied first; some at once. Raises NotebookError.

    progress is called after each cell.
    """
    tasks: list[asyncio.Task[Run]] = []

    async def all_of_them() -> list[Run]:
        room = asyncio.Semaphore(AT_ONCE)

        async def when_there_is_room(folder: Path, replace: Replace) -> Run:
            async with room:
                return await _run(settings, folder, replace, progress)

        tasks.extend(asyncio.create_task(when_there_is_room(*one)) for one in wanted.items())
        return await asyncio.gather(*tasks)

    with ThreadPoolExecutor(1) as thread:  # in the main thread, nbclient would take Ctrl-C and SIGTERM for itself
        running = thread.submit(asyncio.run, all_of_them())
        try:
            while wait([running], timeout=0.2).not_done:  # Ctrl-C ends no longer wait on Windows
                pass
            return running.result()
        except KeyboardInterrupt:
            for one in tasks:
                one.get_loop().call_soon_threadsafe(one.cancel)  # its kernel ends with it
            raise


async def _run(settings: Settings, folder: Path, replace: Replace, progress: Callable[[], None]) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = read_notebook()
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            cell.source = replace.get(tag, cell.source)
    client = NotebookClient(
        notebook,
        km=_kernel(folder),
        timeout=SECONDS_PER_CELL,
        record_timing=False,
        shutdown_kernel="immediate",  # a normal shutdown takes three seconds
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=lambda **_: progress(),
    )
    try:
        await client.async_execute(env=jupyter_environment(settings), cleanup_kc=True)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(_where_it_stopped(notebook, error)) from error
    finally:
        atexit.unregister(client._cleanup_kernel)  # noqa: SLF001 - a run that is cancelled leaves it, and it would fail
        nbformat.write(notebook, folder / NOTEBOOK.name)
    return Run(notebook, folder / NOTEBOOK_MODEL)


def _kernel(folder: Path) -> AsyncKernelManager:
    """A kernel on loopback with encrypted messages, so that other users of this machine cannot read them."""
    ours = str(Path(sys.prefix, "share", "jupyter", "kernels"))  # the default also reads and makes folders in HOME
    return AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[ours]),
        connection_file=str(folder / "kernel.json"),
        transport_encryption="auto",
    )


def _where_it_stopped(notebook: NotebookNode, error: Exception) -> str:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    number = next((i for i, c in enumerate(code, 1) if any(o.output_type == "error" for o in c.outputs)), None)
    cell = f"code cell {number} of {len(code)}" if number else "a cell"
    why = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else f"{error}"
    return f"{NOTEBOOK.name}: {cell} stopped with {why}. Remedy: `make notebook` opens it; run it cell by cell."
