"""Settings that a user has made for other projects: each would lead state away, or stop one of our libraries."""

from pathlib import Path

NOBODY = "http://127.0.0.1:9"  # where no proxy listens


def foreign_settings(folder: Path) -> dict[str, str]:
    """Variables that point into a new folder of another project, with at least one of each kind of library."""
    for name in ("registry.db", "prefect.db", "optuna.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    kernel = folder / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["false"], "display_name": "of another project", "language": "python"}'
    )
    (folder / "modules").mkdir()
    (folder / "modules" / "pandas.py").write_text("raise ImportError('of another project')")
    (folder / "matplotlibrc").write_text("savefig.format: svg")
    return {
        "MLFLOW_REGISTRY_URI": f"sqlite:///{folder / 'registry.db'}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'registry.db'}",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "prefect_api_database_connection_url": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_SERVER_API_AUTH_STRING": "a:b",
        "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
        "OPTUNA_STORAGE": f"sqlite:///{folder / 'optuna.db'}",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "counts"),
        "PANDERA_VALIDATION_ENABLED": "False",
        "UVICORN_ROOT_PATH": "/elsewhere",
        "WEB_CONCURRENCY": "0",
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "IPYTHONDIR": str(folder / "ipython"),
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "EVIDENTLY_SECURITY__TYPE": "token",
        "SETTINGS_FILE_FOR_DYNACONF": str(folder / "settings.toml"),
        "OTEL_SDK_DISABLED": "false",
        "PYTEST_ADDOPTS": "--no-such-option",
        "PYTEST_PLUGINS": "no_such_plugin",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
        "VIRTUAL_ENV": str(folder / "venv"),
        "GIT_DIR": str(folder / "git"),
        "PYTHONPATH": str(folder / "modules"),
        "PYTHONWARNINGS": "error",
        "PYTHONSTARTUP": str(folder / "startup.py"),
        **{name: NOBODY for proxy in ("HTTP_PROXY", "HTTPS_PROXY") for name in (proxy, proxy.lower())},
        "ALL_PROXY": NOBODY.replace("http", "socks5"),
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path, with what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
