"""Models made by hand, as real ONNX graphs: one that looks its answers up, one that fails, one that takes its time."""

import json
from collections.abc import Iterable
from pathlib import Path

import onnx.parser
import pandas as pd

from level2_devops.features import CATEGORIES, NUMBERS
from level4_deployment.serving.package import GRAPH, Package
from shared.artefacts import MODEL_CARD
from tests.level4.plane import keep

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
DESTINATIONS = ("BOS", "LAX", "ORD", "ATL", "MCO", "FLL", "CLT", "SFO")


def known_to_graphs(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights whose codes the hand-made models know."""
    return flights[flights["dest"].isin(DESTINATIONS) & flights["carrier"].isin(CARRIERS)]


def graph_package(
    home: Path, version: int, nodes: str, constants: str = "", carriers: Iterable[str] = CARRIERS
) -> Package:
    """A hand-made graph, in ONNX's textual syntax, over `strings` and `numbers` that gives `probabilities`."""
    inputs = f"string[N,{len(CATEGORIES)}] strings, float[N,{len(NUMBERS)}] numbers"
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 2]>
        made_by_hand ({inputs}) => (float[N,2] probabilities) <{constants}> {{ {nodes} }}
    """)
    made = home / f"made-{version}"
    made.mkdir(parents=True)
    (made / GRAPH).write_bytes(model.SerializeToString())
    categories = {"carrier": [*carriers], "origin": ["EWR", "JFK", "LGA"], "dest": DESTINATIONS}
    card = {"base_rate": 0.25, "rows": 1, "trained_as_of": "2013-04-01", "categories": categories}
    (made / MODEL_CARD).write_text(json.dumps(card))
    return keep(home, version, made)


def listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def table_of_carriers(
    home: Path, version: int, chances: dict[str, float], failing: str = "", carriers: Iterable[str] = CARRIERS
) -> Package:
    """A model that looks its answer up by carrier; on the carrier `failing` a Gather reaches out of its table."""
    known = sorted(set(chances) - {failing})
    rows = [value for carrier in known for value in (1 - chances[carrier], chances[carrier])]
    index = dict(zip(known, range(len(known)), strict=True)) | ({failing: 10_000} if failing else {})
    codes = f"keys_strings = [{listed(map(json.dumps, index))}], values_int64s = [{listed(index.values())}]"
    nodes = f"""
        carriers = Gather <axis = 1> (strings, column)
        carrier = Reshape (carriers, flat)
        index = ai.onnx.ml.LabelEncoder <{codes}, default_int64 = 0> (carrier)
        probabilities = Gather <axis = 0> (table, index)
    """
    constants = f"float[{len(known)},2] table = {{{listed(rows)}}}, int64[1] column = {{0}}, int64[1] flat = {{-1}}"
    return graph_package(home, version, nodes, constants, carriers)


def ignorant(home: Path, version: int, chances: dict[str, float], of: str) -> Package:
    """A table that has never seen the carrier `of`."""
    known = {carrier: chance for carrier, chance in chances.items() if carrier != of}
    return table_of_carriers(home, version, known, carriers=known)


def busy(home: Path, version: int, rounds: int, chance: float = 0.5) -> Package:
    """A model that goes through a Loop of `rounds` before it gives `chance`; 2**62 rounds is to hang."""
    nodes = """
        end = Loop <body = square (int64 i, bool more, float[8,8] before) => (bool more_out, float[8,8] after) {
            more_out = Identity (more)
            after = MatMul (before, before)
        }> (rounds, go, start)
        nothing = ReduceSum <keepdims = 0> (end)
        shape = Shape (numbers)
        rows = Slice (shape, zero, one)
        wanted = Concat <axis = 0> (rows, two)
        expanded = Expand (pair, wanted)
        probabilities = Add (expanded, nothing)
    """
    constants = f"""
        int64 rounds = {{{rounds}}}, bool go = {{1}}, float[8,8] start = {{{listed([0.0] * 64)}}},
        float[1,2] pair = {{{1 - chance}, {chance}}}, int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}
    """
    return graph_package(home, version, nodes, constants)
