from pathlib import Path

import pytest

from loadtest.arrivals import Poisson
from loadtest.plan import make_plan
from loadtest.questions import Question
from loadtest.scenario import FOLDER, Scenario, load_scenario

NAMES = ["autoscale", "burst", "canary", "mixed", "overload", "ramp", "soak", "steady"]
STEADY = """
arrivals: {pattern: poisson, rate: 5}
workload: {documents: 100}
seconds: 60
slo_ms: 500
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_those_of_the_package_are_all_here() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_of_the_package_says_in_one_line_what_it_shows_and_can_be_run(name: str) -> None:
    remarks = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if "#" in line]
    assert len(remarks) == 1
    assert remarks[0].startswith("# Shows ")
    scenario = load_scenario(name).changed(rate=2.0, seconds=20.0, processes=None)
    thousand = Question("q", ["d"] * 1_000)
    plan = make_plan(scenario, [thousand], lambda question: question.query.encode(), first=0)
    assert plan.seconds == pytest.approx(20)
    assert plan.asks


def test_a_scenario_is_read_back_from_what_a_run_keeps_of_it() -> None:
    for name in NAMES:
        described = load_scenario(name).changed(3.0, None, 2).described()
        phases = described.pop("phases")
        again = Scenario.model_validate(described)
        assert (again.name, again.processes) == (name, 2)
        assert [*described["arrivals"].get("steps", [])] == phases


def test_the_phases_of_an_overload_have_names() -> None:
    phases = load_scenario("overload").changed(10.0, None, None).described()["phases"]
    assert [(phase["name"], phase["rate"]) for phase in phases] == [("before", 3), ("overload", 30), ("recovery", 3)]


def test_the_command_line_changes_rate_time_and_processes(tmp_path: Path) -> None:
    changed = load_scenario(written(tmp_path, STEADY)).changed(7.0, 30.0, 3)
    assert changed.arrivals == Poisson(pattern="poisson", rate=7)
    assert (changed.name, changed.seconds, changed.processes) == ("mine", 30, 3)


def test_rates_that_are_multiples_want_to_know_of_what() -> None:
    with pytest.raises(ValueError, match="the rates of overload are multiples of the service's capacity: tell it by"):
        load_scenario("overload").changed(None, None, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (STEADY.replace("rate: 5", "rate: fast"), r"mine.yaml: arrivals.poisson.rate: .*number"),
        (STEADY.replace("rate: 5", "rate: 0"), r"mine.yaml: arrivals.poisson.rate: .*greater than 0"),
        (STEADY.replace("poisson", "fishy"), r"arrivals: .*'poisson'"),
        (STEADY.replace("slo_ms: 500", ""), "slo_ms: Field required"),
        (STEADY.replace("seconds: 60", ""), "seconds: say for how long requests come"),
        (STEADY + "users: 7\n", "users: Extra inputs are not permitted"),
        (STEADY.replace("documents: 100", 'documents: "100"'), r"^[^\n]*workload.documents.number: [^\n]*integer$"),
        (STEADY.replace("documents: 100", "documents: {median: 9, p95: 5}"), "workload.documents.spread: p95 is below"),
        (STEADY.replace("documents: 100", "documents: []"), "workload.documents.portions: .*at least 1 item"),
        (STEADY.replace("pattern: poisson, rate: 5", "pattern: replay, trace: no.csv"), "there is no trace .*no.csv"),
        (STEADY.replace("pattern: poisson, rate: 5", "pattern: steps, steps: []"), "arrivals.steps.steps: "),
        (
            STEADY.replace("pattern: poisson, rate: 5", "pattern: steps, steps: [{name: a, rate: 1, seconds: 2}]"),
            "seconds: each step has its own",
        ),
        ("[", "mine.yaml is no YAML"),
        ("steady", "mine.yaml is no scenario: it has to be a mapping"),
    ],
)
def test_a_mistake_is_named_with_its_field(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_scenario(written(tmp_path, text))


@pytest.mark.parametrize("named", ["unsteady", "folder/unsteady.yaml"])
def test_a_scenario_that_is_not_there_says_which_are(named: str) -> None:
    with pytest.raises(ValueError, match=f"there is no scenario {named}; there are autoscale, burst, .*"):
        load_scenario(named)
