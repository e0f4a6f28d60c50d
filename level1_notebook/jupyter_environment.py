"""The notebook, and the environment of our Jupyter processes: they write below the state folder, never to HOME."""

import os
from pathlib import Path

from shared.settings import PROJECT, Settings

NOTEBOOK = Path(__file__).with_name("flight_delays.ipynb")


def jupyter_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with `settings`, the project on the path and Jupyter's folders below the state."""
    home = settings.level("level1") / "jupyter"
    home.mkdir(exist_ok=True)  # IPython uses a temporary folder when it would have to make two folders at once
    ours = {
        "TODAY": settings.today.isoformat(),
        "MLOPS_STATE": str(settings.state),
        "FLIGHTS_DATA": str(settings.data or ""),
        "PYTHONPATH": str(PROJECT),
        "JUPYTER_PREFER_ENV_PATH": "1",  # kernels and extensions of .venv come before those of the machine
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "lab"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab" / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "OMP_NUM_THREADS": "1",  # on shared cores, trees on many threads wait for each other
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the kernel's debugger warns about Python's frozen modules
    }
    return {**os.environ, **ours}
