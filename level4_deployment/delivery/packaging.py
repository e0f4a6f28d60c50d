"""Packaging: a registered pipeline becomes an ONNX graph with its card, published with the digests of both files."""

import copy
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from level2_devops.features import CATEGORIES, NUMBERS
from level2_devops.model import ModelCard, load
from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import ARTEFACTS, MANIFEST, package_of
from level4_deployment.delivery.splits import with_float32_thresholds
from level4_deployment.serving.package import GRAPH, NUMBERS_INPUT, OUTPUT, STRINGS_INPUT
from level4_deployment.serving.routes import Package
from shared.artefacts import MODEL_CARD
from shared.files import file_digest


def publish(client: MlflowClient, version: registry.Version) -> Package:
    """Convert a registered version for serving and record its package; a package that is there already stays.

    The model is loaded from a file whose digest is the registered one, and only types that are trusted.
    """
    if MANIFEST in version.tags:
        return package_of(version)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / ARTEFACTS
        made.mkdir()
        files = convert(*load(registry.fetch(client, version, Path(folder))), made)
        client.log_artifacts(version.run_id, str(made), ARTEFACTS)
    client.set_model_version_tag(registry.MODEL, str(version.number), MANIFEST, json.dumps(files))
    return Package(version.number, files)


def convert(model: Any, card: ModelCard, folder: Path) -> dict[str, str]:
    """Write graph and card into `folder`; returns SHA-256 by file name, the same for the same model.

    The graph takes two tensors: for a single row that is a tenth faster than a tensor for each of 29 columns.
    """
    codes = model.named_steps["columns"].named_transformers_["codes"]
    categories = {name: list(map(str, known)) for name, known in zip(CATEGORIES, codes.categories_, strict=True)}
    (folder / GRAPH).write_bytes(_graph(model))
    (folder / MODEL_CARD).write_text(json.dumps(asdict(card) | {"categories": categories}, indent=2) + "\n")
    return {name: file_digest(folder / name) for name in (GRAPH, MODEL_CARD)}


def _graph(model: Any) -> bytes:
    """The pipeline with its encoder as ONNX: columns by position instead of by name, thresholds as float32."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    (_, codes, _), (_, rest, _) = model.named_steps["columns"].transformers_
    texts, total = len(CATEGORIES), len(CATEGORIES) + len(NUMBERS)
    columns = copy.copy(model.named_steps["columns"])
    columns.transformers_ = [("codes", codes, list(range(texts))), ("remainder", rest, list(range(texts, total)))]
    graph = to_onnx(
        Pipeline([("columns", columns), ("trees", with_float32_thresholds(model.named_steps["trees"]))]),
        initial_types=[
            (STRINGS_INPUT, StringTensorType([None, texts])),
            (NUMBERS_INPUT, FloatTensorType([None, len(NUMBERS)])),
        ],
        options={"zipmap": False},
    )
    (kept,) = (output for output in graph.graph.output if output.name == OUTPUT)
    del graph.graph.output[:]
    graph.graph.output.append(kept)
    return graph.SerializeToString(deterministic=True)
