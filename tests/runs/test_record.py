"""run.json is read by its schema, and rewritten with all that it says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from resnet_paper.runs import record as records
from resnet_paper.runs.record import COLUMNS, JSON, Measurement, decode, encode
from resnet_paper.runs.run import Result, finished_runs

RecordRun = Callable[..., Result]
PUBLISHED = Path(__file__).parents[2] / "experiments" / "runs"


def changed(content: JSON, path: str, value: object) -> JSON:
    """JSON with another value at a path such as "recipe.batch_size"."""
    copy: Any = json.loads(json.dumps(content))
    inner, names = copy, path.split(".")
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", "zero"),
        ("test_error", "8.0"),
        ("finished", "yes"),
        ("recipe", None),
        ("recipe.batch_size", "128"),
        ("recipe.held_out", 0.5),
        ("computed.threads", None),
        ("sha256", []),
        ("resumed", [{"iteration": 4}]),
        ("published", {"weights": 16, "test_error": 8.0}),
    ],
)
def test_a_wrong_field_is_named_by_its_path(
    record_run: RecordRun, path: str, value: object
) -> None:
    content = record_run("resnet-20").content
    with pytest.raises(ValueError, match=rf"`\$\.{path}(\[0\]|\.weights)?`"):
        decode(json.dumps(changed(content, path, value)))


@pytest.mark.parametrize("field", ["network", "seed", "recipe", "computed", "finished"])
def test_a_missing_field_is_named(record_run: RecordRun, field: str) -> None:
    content = {**record_run("resnet-20").content}
    del content[field]
    with pytest.raises(ValueError, match=rf"missing required field `{field}`"):
        decode(json.dumps(content))


def test_a_finished_run_has_an_error_and_a_curve(record_run: RecordRun) -> None:
    content = record_run("resnet-20").content
    for path, value in (("test_error", None), ("sha256", {})):
        with pytest.raises(ValueError, match=r"a finished run has a test_error and the SHA-256"):
            decode(json.dumps(changed(content, path, value)))
    decode(encode(changed(content, "finished", False)))


def test_another_number_is_noticed(record_run: RecordRun) -> None:
    content = record_run("resnet-20", error=8.5).content
    with pytest.raises(ValueError, match="its SHA-256 is not that of what it says"):
        decode(json.dumps(changed(content, "test_error", 7.5)))


def test_decoding_is_the_inverse_of_encoding(record_run: RecordRun) -> None:
    content = record_run("resnet-20", error=8.5).content
    again, record = decode(encode(content))
    assert again == content
    assert (record.network, record.seed, record.test_error) == ("resnet-20", 0, 8.5)


def test_unknown_keys_are_kept_on_a_rewrite(record_run: RecordRun) -> None:
    result = record_run("resnet-20", newer={"than": ["this", "version"]})
    for path, value in (("recipe.newer", 1), ("computed.newer", "two")):
        result.run.write_record(changed(result.run.result().content, path, value))
    before = result.run.result()
    after = before.write_responses(pd.DataFrame({"layer": [1], "name": ["a"], "std": [0.5]}))
    assert after.record.sha256.keys() == {"curve.csv", "responses.csv", "run.json"}
    assert {**after.content, "sha256": None} == {**before.content, "sha256": None}
    assert after.content["newer"] == {"than": ["this", "version"]}
    assert (after.content["recipe"]["newer"], after.content["computed"]["newer"]) == (1, "two")


def test_columns_are_the_fields_of_a_measurement() -> None:
    assert tuple(field.name for field in msgspec.structs.fields(Measurement)) == COLUMNS
    assert ",".join(COLUMNS) == (
        "iteration,learning_rate,train_loss,train_error,train_error_clean,val_error,test_loss,"
        "test_error,test_error_precise,seconds"
    )


def test_the_digest_leaves_out_itself_alone(record_run: RecordRun) -> None:
    content = record_run("resnet-20").content
    assert records.digest(content) == content["sha256"]["run.json"]
    assert records.digest(
        {**content, "sha256": {**content["sha256"], "run.json": "0"}}
    ) == records.digest(content)
    assert records.digest(changed(content, "sha256.newer", "0")) != records.digest(content)


@pytest.mark.published
@pytest.mark.parametrize(
    "path",
    sorted(PUBLISHED.glob("*/*/seed-*/run.json")),
    ids=lambda path: str(path.parent.relative_to(PUBLISHED)),
)
def test_published_records_decode(path: Path) -> None:
    content, record = decode(path.read_bytes())
    assert record.finished
    assert path.read_bytes() == encode(content)


@pytest.mark.published
def test_published_runs_are_as_they_were_left() -> None:
    for settings in sorted(path.name for path in PUBLISHED.iterdir() if path.is_dir()):
        for result in finished_runs(PUBLISHED, settings):
            assert tuple(result.curve) == COLUMNS
            assert result.curve["test_error"].iloc[-1] == result.record.test_error
            assert (result.weights() is not None) == result.run.weights_file.exists()
