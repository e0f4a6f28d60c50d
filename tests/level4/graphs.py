"""Models made by hand, as real ONNX graphs: one that looks its answers up, one that fails, one that takes its time."""

import json
from collections.abc import Iterable
from pathlib import Path

import onnx
import pandas as pd
from onnx import TensorProto, helper

from level2_devops.features import CATEGORIES, NUMBERS
from level4_deployment.serving.package import GRAPH, Package
from shared.artefacts import MODEL_CARD
from tests.level4.plane import keep

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
DESTINATIONS = (  # of the year
    "ABQ ACK ALB ANC ATL AUS AVL BDL BGR BHM BNA BOS BQN BTV BUF BUR BWI BZN CAE CAK CHO CHS CLE CLT CMH CRW "
    "CVG DAY DCA DEN DFW DSM DTW EGE EYW FLL GRR GSO GSP HDN HNL HOU IAD IAH ILM IND JAC JAX LAS LAX LEX LGA "
    "LGB MCI MCO MDW MEM MHT MIA MKE MSN MSP MSY MTJ MVY MYR OAK OKC OMA ORD ORF PBI PDX PHL PHX PIT PSE PSP "
    "PVD PWM RDU RIC ROC RSW SAN SAT SAV SBN SDF SEA SFO SJC SJU SLC SMF SNA SRQ STL STT SYR TPA TUL TVC TYS "
    "XNA"
)


def graph_package(
    home: Path,
    version: int,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    carriers: Iterable[str] = CARRIERS,
) -> Package:
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
    categories = {"carrier": [*carriers], "origin": ["EWR", "JFK", "LGA"], "dest": DESTINATIONS.split()}
    card = {"base_rate": 0.25, "rows": 1, "trained_as_of": "2013-04-01", "categories": categories}
    (made / MODEL_CARD).write_text(json.dumps(card))
    return keep(home, version, made)


def table_of_carriers(
    home: Path, version: int, chances: dict[str, float], failing: str = "", carriers: Iterable[str] = CARRIERS
) -> Package:
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
    return graph_package(home, version, nodes, constants, carriers)


def ignorant(home: Path, version: int, chances: dict[str, float], of: str) -> Package:
    """A table that has never seen the carrier `of`."""
    known = {carrier: chance for carrier, chance in chances.items() if carrier != of}
    return table_of_carriers(home, version, known, carriers=known)


def known_to_graphs(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights whose codes the hand-made models know, to a few destinations."""
    places = flights["dest"].isin(["BOS", "LAX", "ORD", "ATL", "MCO", "FLL", "CLT", "SFO"])
    return flights[places & flights["carrier"].isin(CARRIERS)]


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
