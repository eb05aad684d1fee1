import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.samples import Generator, Replicas, Run, Sample, read_run, write_run

SECONDS = st.floats(0, 1e6)
SAMPLES = st.builds(
    Sample,
    due=SECONDS,
    sent=SECONDS,
    first_byte=st.none() | SECONDS,
    done=SECONDS,
    status=st.integers(0, 599),
    failure=st.none() | st.text(),
    documents=st.integers(1, 10_000),
    tokens=st.none() | st.integers(0, 10**9),
    model=st.text(),
    queue_ms=st.none() | SECONDS,
)
RUNS = st.builds(
    Run,
    name=st.text(),
    scenario=st.dictionaries(st.text(), st.none() | st.integers() | st.lists(st.text())),
    url=st.text(),
    began_at=st.text(),
    seconds=SECONDS,
    generator=st.builds(Generator, st.integers(1, 9), SECONDS, SECONDS, st.booleans()),
    samples=st.lists(SAMPLES, max_size=5),
    replicas=st.lists(st.builds(Replicas, SECONDS, st.text(), st.integers(0, 99)), max_size=5),
)


@given(RUNS)
def test_a_run_is_read_as_it_was_written(run: Run) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "one.run.json.gz"
        write_run(run, path)
        assert read_run(path) == run


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no run of loadtest"),
        (b"text", "is no run of loadtest"),
        (gzip.compress(b"{}"), "is no run of loadtest"),
        (gzip.compress(b"[1]"), "is no run of loadtest"),
        (gzip.compress(json.dumps({"format": 0}).encode()), "another version of loadtest"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "one.run.json.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_run(path)
