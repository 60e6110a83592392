"""The answer to an infer request: outputs as JSON, as binary, or as the best classes."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.documents import compact_json
from pipeline.errors import ContractBroken
from pipeline.models.tensors import TensorFacts
from webapp.open_inference.request import BYTES, RequestedOutput
from webapp.open_inference.values import json_values, pack_texts, unpack
from webapp.refusals import InvalidField


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a whole batch, batch axis first."""

    facts: TensorFacts
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferAnswer:
    """A body; *header_bytes* is how much of it is JSON, None for all."""

    body: bytes = field(repr=False)
    header_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAnswer:
    """What the model gave for one item: its outputs lie one after the other in *data*."""

    outputs: tuple[TensorFacts, ...]
    data: bytes = field(repr=False)


def outputs_of(result: str) -> tuple[TensorFacts, ...]:
    """Give the outputs that a job's result names; raises ContractBroken for another result."""
    try:
        return tuple(
            TensorFacts.from_list([each["name"], each["datatype"], each["shape"]])
            for each in json.loads(result)["outputs"]
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ContractBroken(f"a result without raw outputs: {exc!r}") from exc


def joined(items: Sequence[ItemAnswer]) -> list[Output]:
    """Join the outputs of a batch's items.

    Raises InvalidField where a model gave items outputs of different shapes, and ContractBroken
    where a file is not as long as its outputs.
    """
    for item in items:
        if sum(output.size_bytes for output in item.outputs) != len(item.data):
            raise ContractBroken("a file of outputs is not as long as they are")
        if item.outputs != items[0].outputs:
            raise InvalidField(
                "the items' outputs are of different shapes; send one at a time", field="shape"
            )
    outputs, at = [], 0
    for facts in items[0].outputs:
        end = at + facts.size_bytes
        outputs.append(
            Output(
                facts=TensorFacts(
                    name=facts.name, datatype=facts.datatype, shape=(len(items), *facts.shape)
                ),
                data=b"".join(item.data[at:end] for item in items),
            )
        )
        at = end
    return outputs


def infer_answer(
    head: dict[str, Any],
    outputs: Sequence[Output],
    wanted: Sequence[RequestedOutput],
    *,
    labels: Sequence[str],
) -> InferAnswer:
    """Give the answer with the *wanted* of *outputs*; *head* is its JSON without them."""
    by_name = {output.facts.name: output for output in outputs}
    texts, binary = [], []
    for each in wanted:
        output = by_name.get(each.name)
        if output is None:
            raise ContractBroken(f"the model gave no output {each.name!r}")
        if each.classes:
            document, values, raw = _classified(output, each, labels)
        else:
            facts = output.facts
            document = _description(facts.name, facts.datatype, facts.shape)
            raw = output.data
            values = b"" if each.is_binary else json_values(facts.datatype, raw, name=facts.name)
        if each.is_binary:
            document["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
            texts.append(_json(document))
        else:
            texts.append(_json(document)[:-1] + b',"data":' + values + b"}")
    text = _json(head)[:-1] + b',"outputs":[' + b",".join(texts) + b"]}"
    if not binary:
        return InferAnswer(body=text)
    return InferAnswer(body=b"".join((text, *binary)), header_bytes=len(text))


def _classified(
    output: Output, wanted: RequestedOutput, labels: Sequence[str]
) -> tuple[dict[str, Any], bytes, bytes]:
    """Give the best classes of each item as ``value:index[:label]``: as JSON and as binary."""
    count = output.facts.shape[0]
    values = unpack(output.facts.datatype, output.data)
    per_item = len(values) // count
    best = min(wanted.classes, per_item)
    texts = []
    for item in range(count):
        row = values[item * per_item : (item + 1) * per_item]
        for index in heapq.nlargest(best, range(per_item), key=row.__getitem__):
            label = f":{labels[index]}" if len(labels) == per_item else ""
            texts.append(f"{_number(row[index])}:{index}{label}")
    document = _description(wanted.name, BYTES, (count, best))
    return document, _json(texts), pack_texts([text.encode() for text in texts])


def _number(value: float) -> str:
    return f"{value:f}" if isinstance(value, float) else str(int(value))


def _description(name: str, datatype: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _json(document: Any) -> bytes:
    return compact_json(document).encode()
