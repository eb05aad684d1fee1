from pathlib import Path

from tests.running import refused, run


def test_a_plan_has_replicas_cost_headroom_and_what_breaks_first() -> None:
    result = run("plan", "--rps", "200", "--docs", "100", "--p99", "150ms", "--model", "minilm-l6")
    assert result.returncode == 0, result.stderr
    head, share, whole = result.stdout.splitlines()[:3]
    assert head.split()[3:] == [
        "replicas",
        "V100s",
        "busy",
        "p50",
        "ms",
        "p99",
        "ms",
        "headroom",
        "$/hour",
        "$/1M",
        "docs",
    ]
    assert share.split()[:2] == ["0.25", "–"]
    figures = whole.split()
    assert (figures[0], figures[1]) == ("1", figures[2])
    assert float(figures[7].replace(",", "")) == 2.48 * int(figures[2])
    assert "on 0.25 of a V100 no number of replicas is enough: one request alone takes 228 ms" in result.stdout
    assert "controller: reports" in result.stdout


def test_a_fleet_beyond_what_is_known_to_hold_says_what_breaks_first() -> None:
    steady = ("plan", "--rps", "110000", "--docs", "100", "--p99", "150ms", "--model", "minilm-l6")
    result = run(*steady, "--v100s-per-node", "8")
    [first, *_] = [line for line in result.stdout.splitlines() if " controller: " in line]
    assert int(first.split("%")[0]) > 100


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("at_s,documents\n" + "".join(f"{second / 10},10\n" for second in range(3_000)))
    result = run("plan", "--trace", str(trace), "--p99", "0.5s", "--model", "cross-encoder/ms-marco-MiniLM-L6-v2")
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["of", "0.25", "1"]


def test_what_cannot_be_planned_is_said_in_a_sentence(tmp_path: Path) -> None:
    steady = ("plan", "--rps", "1", "--model")
    assert "say 150ms or 0.15s" in refused(run(*steady, "minilm-l6", "--p99", "150"))
    assert "say 150ms or 0.15s" in refused(run(*steady, "minilm-l6", "--p99", "0ms"))
    assert "has no variant 'gpt'; it has tinybert-l2-v2" in refused(run(*steady, "gpt", "--p99", "1s"))
    assert "plan each of its variants" in refused(run(*steady, "l2-then-l12", "--p99", "1s"))
    assert "either --rps" in refused(run("plan", "--model", "minilm-l6", "--p99", "1s"))
    both = run(*steady, "minilm-l6", "--p99", "1s", "--trace", str(tmp_path / "t.csv"))
    assert "either --rps" in refused(both)
