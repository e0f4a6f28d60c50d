"""A data plane without a registry: packages made on the spot, some bad on purpose, and workers to serve them."""

import hashlib
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import onnx
import pandas as pd
from onnx import TensorProto, helper

from level2_devops import CATEGORIES, NUMBERS, Card, address_of, open_socket
from level4_deployment.log import default_url
from level4_deployment.package import GRAPH, convert
from level4_deployment.routes import MODELS, Package, Routes, Split, write_routes
from level4_deployment.stream import as_requests
from level4_deployment.worker import Worker, start_workers
from shared.artefacts import MODEL_CARD

CARD = Card(0.25, 5_000, "2013-04-01")


def keep(home: Path, version: int, made: Path) -> Package:
    """Move a folder with graph and card to where the platform looks for it."""
    files = {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in (GRAPH, MODEL_CARD)}
    package = Package(version, files)
    target = home / MODELS / package.digest
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        made.rename(target)
    return package


def package(home: Path, version: int, model: Any) -> Package:
    """A converted pipeline."""
    made = home / f"made-{version}"
    made.mkdir(parents=True)
    convert(model, CARD, made)
    return keep(home, version, made)


def graph_package(home: Path, version: int, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> Package:
    """A hand-made graph over the inputs `strings` and `numbers` that gives `probabilities`."""
    graph = helper.make_graph(
        nodes,
        "made by hand",
        [
            helper.make_tensor_value_info("strings", TensorProto.STRING, [None, len(CATEGORIES)]),
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(NUMBERS)]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)], ir_version=8
    )
    made = home / f"made-{version}"
    made.mkdir(parents=True)
    (made / GRAPH).write_bytes(model.SerializeToString())
    categories = {"carrier": ["AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN", "9E", "FL", "VX"]}
    card = {"base_rate": 0.25, "rows": 1, "trained_as_of": "2013-04-01", "categories": categories | _places()}
    (made / MODEL_CARD).write_text(json.dumps(card))
    return keep(home, version, made)


def _places() -> dict[str, list[str]]:
    return {"origin": ["EWR", "JFK", "LGA"], "dest": ["BOS", "LAX", "ORD", "ATL", "MCO", "FLL", "CLT", "SFO"]}


def table_of_carriers(home: Path, version: int, chances: dict[str, float], failing: str = "") -> Package:
    """A model that looks its answer up by carrier; on the carrier `failing` a Gather reaches out of its table."""
    known = sorted(set(chances) - {failing})
    rows = [value for carrier in known for value in (1 - chances[carrier], chances[carrier])]
    index = [*range(len(known)), *([10_000] if failing else [])]
    constants = [
        helper.make_tensor("table", TensorProto.FLOAT, [len(known), 2], rows),
        helper.make_tensor("column", TensorProto.INT64, [1], [0]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
    ]
    encoder = helper.make_node(
        "LabelEncoder",
        ["carrier"],
        ["index"],
        domain="ai.onnx.ml",
        keys_strings=[*known, *([failing] if failing else [])],
        values_int64s=index,
        default_int64=0,
    )
    nodes = [
        helper.make_node("Gather", ["strings", "column"], ["carriers"], axis=1),
        helper.make_node("Reshape", ["carriers", "flat"], ["carrier"]),
        encoder,
        helper.make_node("Gather", ["table", "index"], ["probabilities"], axis=0),
    ]
    return graph_package(home, version, nodes, constants)


def busy(home: Path, version: int, rounds: int, chance: float = 0.5) -> Package:
    """A model that goes through a Loop of `rounds` before it gives `chance`; 2**62 rounds is to hang."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["more_out"]),
            helper.make_node("MatMul", ["square", "square"], ["multiplied"]),
            helper.make_node("Identity", ["multiplied"], ["square_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("square", TensorProto.FLOAT, [8, 8]),
        ],
        [
            helper.make_tensor_value_info("more_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("square_out", TensorProto.FLOAT, [8, 8]),
        ],
    )
    constants = [
        helper.make_tensor("rounds", TensorProto.INT64, [], [rounds]),
        helper.make_tensor("go", TensorProto.BOOL, [], [True]),
        helper.make_tensor("start", TensorProto.FLOAT, [8, 8], [0.0] * 64),
        helper.make_tensor("pair", TensorProto.FLOAT, [1, 2], [1 - chance, chance]),
        helper.make_tensor("two", TensorProto.INT64, [1], [2]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
    ]
    nodes = [
        helper.make_node("Loop", ["rounds", "go", "start"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["nothing"], keepdims=0),
        helper.make_node("Shape", ["numbers"], ["shape"]),
        helper.make_node("Slice", ["shape", "axis", "one"], ["rows"]),
        helper.make_node("Concat", ["rows", "two"], ["wanted"], axis=0),
        helper.make_node("Expand", ["pair", "wanted"], ["expanded"]),
        helper.make_node("Add", ["expanded", "nothing"], ["probabilities"]),
    ]
    return graph_package(home, version, nodes, constants)


@dataclass
class Plane:
    """Workers that serve on `address`."""

    home: Path
    address: str
    workers: list[Worker]
    client: httpx.Client
    listening: socket.socket

    def start_another(self) -> None:
        """One more worker on the same socket."""
        (made,) = start_workers(self.home, self.listening, 1, default_url(self.home))
        self.workers.append(made)
        made.wait_ready()

    def ask(self, flight: dict[str, Any]) -> dict[str, Any]:
        """The answer to one flight."""
        answer = self.client.post("/predict", json=flight)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the log holds."""
        with sqlite3.connect(self.home / "log.db") as log:
            return log.execute(query).fetchall()

    def wait(self, generation: int, within: float = 10.0) -> None:
        """Until every worker serves these routes."""
        until = time.monotonic() + within
        while any((one.status() or {}).get("generation") != generation for one in self.workers):
            assert time.monotonic() < until, [one.status() for one in self.workers]
            time.sleep(0.02)


@contextmanager
def plane(home: Path, count: int = 1, log_url: str = "") -> Iterator[Plane]:
    """Run workers while the block runs."""
    with open_socket() as listening:
        workers = start_workers(home, listening, count, log_url or default_url(home))
        try:
            for one in workers:
                one.wait_ready()
            with httpx.Client(base_url=address_of(listening), timeout=20, trust_env=False) as client:
                yield Plane(home, address_of(listening), workers, client, listening)
        finally:
            for one in workers:
                if one.alive:
                    one.stop()


def route(home: Path, generation: int, champion: Package, challenger: Package | None = None, share: float = 0) -> None:
    """Write the routes, with an experiment if there is a challenger."""
    split = Split("experiment", "salt", share) if challenger else None
    write_routes(home, Routes(generation, champion, challenger, split))


def bodies(flights: pd.DataFrame) -> list[dict[str, Any]]:
    """What clients send for these flights."""
    return as_requests(flights)
