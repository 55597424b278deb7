"""`keeper margin` and `keeper greeks`: what they print, their exit codes, and that the docs show just that."""

import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.aggregate import greeks_by, netting_benefit
from engine.book import mark_to_market
from engine.distance import distances
from engine.margin import MODELS
from engine.margin.base import margin
from engine.margin.span import Span
from engine.revalue import mark_values
from keeper.bookfile import model_of, read_book
from keeper.cli import app, main
from keeper.errors import ConfigError, ExitCode, KeeperError, UsageError
from tests.unit.risk_books import Flat

ROOT = Path(__file__).parents[2]
BOOK = "docs/examples/book.json"
FILE = read_book((ROOT / BOOK).read_text(), BOOK)
PAGE = (ROOT / "docs/margin-engine.md").read_text()
CONSOLE = re.findall(r"^```console\n\$ keeper (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def run(*arguments, text=None):
    return CliRunner().invoke(app, list(arguments), input=text)


def answer(*arguments, text=None):
    done = run(*arguments, "--json", text=text)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["span", "pmrm", "pmrm_v1", "standard", "tail"])
def test_json_says_what_the_engine_says_in_full_precision(name):
    found = answer("margin", BOOK, "--model", name)
    report = margin(model_of(MODELS, name, FILE, BOOK), FILE.book, FILE.market)
    assert (found["model"], found["time"]) == (name, FILE.time)
    for row, account in enumerate(found["accounts"]):
        assert account["account"] == FILE.book.accounts[row]
        for column in ("equity", "im", "mm", "im_excess", "mm_excess", "mark_to_market", "band"):
            assert account[column] == getattr(report, column)[row]
        assert account["health"] == (report.health[row] if math.isfinite(report.health[row]) else None)
        assert account["status"] == ("healthy", "endangered")[report.status[row]]
        worst = report.worst[row]
        assert account["worst"] == (report.scenarios[worst] if worst >= 0 else None)
        parts = {part: column[row] for part, column in report.contingencies.items()}
        assert account["contingencies"] == parts


@pytest.mark.parametrize(("book", "name"), [("lending.json", "lending"), ("perpetuals.csv", "perp")])
def test_the_other_examples_have_their_models(book, name):
    found = answer("margin", f"docs/examples/{book}", "-m", name)
    assert {account["status"] for account in found["accounts"]} == {"healthy", "endangered"}


def test_a_perpetuals_account_by_hand():
    bob = answer("margin", "docs/examples/perpetuals.csv", "-m", "perp", "-a", "bob")["accounts"]
    assert len(bob) == 1
    assert bob[0]["equity"] == pytest.approx(2500 + 12 * (3101 - 3260) + 4.75)
    assert bob[0]["mm"] == pytest.approx(0.0625 * 12 * 3101)


def test_a_csv_on_standard_input_is_the_same_book():
    piped = answer("margin", "-", text=(ROOT / "docs/examples/book.csv").read_text())["accounts"]
    for account, other in zip(answer("margin", BOOK)["accounts"], piped, strict=True):
        assert other["equity"] == pytest.approx(account["equity"], rel=1e-14)
        assert other["mm"] == pytest.approx(account["mm"], rel=1e-13)


def test_scenarios_of_the_file_are_revaluations():
    basis = answer("margin", BOOK, "--account", "basis")["accounts"][0]["scenarios"]
    discount = math.exp(-0.04 * 77 / 365)
    assert basis["12 March 2020"] == pytest.approx(-0.388 * 2 * (90020 - discount * 91000))
    assert basis["quiet week"] == pytest.approx(0.0, abs=1e-9)  # a forward has no vol and no decay


def test_distance_and_house():
    found = answer("margin", BOOK, "--distance", "--house")
    far = distances(Span(), FILE.book, FILE.market)
    rows = [account["distance"] for account in found["accounts"]]
    for name in ("spot_down", "spot_up", "vol_down", "vol_up", "days"):
        column = [row[name] for row in rows]
        assert column == [x if math.isfinite(x) else None for x in getattr(far, name)]
    saved = netting_benefit(Span(), FILE.book, FILE.market)
    assert found["house"]["im_benefit"] == saved.im
    assert found["house"]["mm_apart"] == sum(account["mm"] for account in found["accounts"])


def test_the_distance_of_a_borrower_by_hand():
    """10 WETH at 3100 secure 83 % against 20,000: healthy until the price has fallen to 20,000 / 8.3."""
    borrower = answer("margin", "docs/examples/lending.json", "-m", "lending", "--distance")["accounts"][0]
    assert borrower["distance"]["spot_down"] == pytest.approx(1.0 - 20_000 / 8.3 / 3100, abs=2e-9)
    assert borrower["health"] == pytest.approx(0.83 * 31_000 / 20_000)


def test_greeks_sum_to_the_same_whole():
    apart, by_expiry = answer("greeks", BOOK)["greeks"], answer("greeks", BOOK, "--by", "expiry")["greeks"]
    by_underlying = answer("greeks", BOOK, "--by", "underlying")["greeks"]
    assert [row["underlying"] for row in by_underlying] == ["BTC", "ETH"]
    assert {row["expiry"] for row in by_expiry} == {"spot/perp", "BTC-30JAN26", "BTC-27MAR26", "ETH-27MAR26"}
    for name in ("delta", "gamma", "vega", "theta", "vanna", "volga"):
        whole = getattr(greeks_by(FILE.book, FILE.market).summed("underlying"), name)
        for row, underlying in zip(by_underlying, ("BTC", "ETH"), strict=True):
            assert row[name] == whole[("BTC", "ETH").index(underlying)]
            for parts in (apart, by_expiry):
                total = math.fsum(part[name] for part in parts if part["underlying"] == underlying)
                assert row[name] == pytest.approx(total, rel=1e-12)


def test_tables_for_people():
    text = run("margin", BOOK, "--house").output
    assert "put-spread" in text and "endangered" in text and "BTC: spot −1 vol up" in text
    assert "netting benefit" in text and "12 March 2020" in text
    assert "spot/perp" in run("greeks", BOOK, "--by", "expiry").output


def test_equity_is_the_mark_to_market_by_hand():
    ether = answer("margin", BOOK, "--account", "ether")["accounts"][0]
    put = mark_values(FILE.book.instruments, FILE.market)[FILE.book.instruments.names.index("ETH-27MAR26-3000-P")]
    assert ether["mark_to_market"] == pytest.approx(1500 + 10 * (3101 - 3040) + 10 * put + 0.75 * 3100)


def test_unknown_accounts_are_exit_code_7(monkeypatch):
    monkeypatch.setitem(MODELS, "flat", Flat)
    form = json.loads((ROOT / BOOK).read_text())
    form["parameters"] = {"flat": {"charge": "nan"}}
    done = run("margin", "-", "--model", "flat", "--json", text=json.dumps(form))
    assert done.exit_code == ExitCode.UNHEALTHY
    accounts = json.loads(done.stdout)["accounts"]
    assert {(a["status"], a["mm"], a["health"]) for a in accounts} == {("unknown", None, None)}


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("margin", "no.json"), ConfigError, "no.json: expected a book, found No such file"),
        (("margin", BOOK, "-m", "spam"), UsageError, "--model: expected one of span, pmrm"),
        (("margin", BOOK, "-m", "lending"), ConfigError, f"{BOOK}: "),
        (("margin", BOOK, "-a", "covered-cal"), KeeperError, "did you mean covered-call?"),
        (("greeks", "keeper.example.toml"), ConfigError, "expected JSON, or CSV"),
        (("greeks", "docs"), ConfigError, "Is a directory"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, error, said):
    done = run(*arguments)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)


def test_a_bad_file_is_exit_code_3(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keeper", "margin", "no.json", "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 3
    assert json.loads(capsys.readouterr().out)["exit_code"] == 3


def test_the_program_itself_reads_standard_input():
    program = str(Path(sys.executable).with_name("keeper"))
    done = subprocess.run([program, "greeks", "-"], input="{", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert done.stderr.startswith("error: standard input: expected JSON")


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        (("margin",), b"", 2),
        (("margin", BOOK, "--modle", "span"), b"", 2),
        (("margin", BOOK, "--model", "spam"), b"", 2),
        (("margin", BOOK, "--account", "nobody"), b"", 1),
        (("greeks", BOOK, "--by", "moon"), b"", 2),
        (("margin", "-"), b"\xff\xfe,a\n1,2\n", 3),
        (("margin", "-"), b"", 3),
        (("margin", "-"), b'{"a":' * 100_000, 3),
        (("margin", b"no-\xff.json"), b"", 3),
        (("margin", "-"), b"time,\x1b[2J\n", 3),
    ],
)
def test_every_failure_under_json_is_one_document(arguments, text, code):
    program = str(Path(sys.executable).with_name("keeper"))
    done = subprocess.run([program, *arguments, "--json"], input=text, capture_output=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr and done.stderr != b""
    assert b"\x1b[2J" not in done.stderr
    found = json.loads(done.stdout)
    assert (found["exit_code"], type(found["error"])) == (code, str)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device without space")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_full_disk_is_a_message(flags):
    program = str(Path(sys.executable).with_name("keeper"))
    with Path("/dev/full").open("wb") as full:
        command = [program, "margin", BOOK, *flags]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.stderr.startswith(b"error: ") and b"No space left" in done.stderr and b"Traceback" not in done.stderr
    assert done.returncode == ExitCode.FAILED


def test_an_account_beyond_float64_is_unknown_and_nothing_else_is_said():
    form = json.loads((ROOT / BOOK).read_text())
    form["accounts"]["basis"]["positions"][0]["quantity"] = 1e308
    form["accounts"]["basis"]["cash"] = 1e308
    for model in ("span", "pmrm", "pmrm_v1", "standard", "tail"):
        done = run("margin", "-", "--model", model, "--json", text=json.dumps(form))
        assert done.exit_code == ExitCode.UNHEALTHY
        assert done.stderr == ""
        rows = {account["account"]: account["status"] for account in json.loads(done.stdout)["accounts"]}
        assert [name for name, status in rows.items() if status == "unknown"] == ["basis"]


@pytest.mark.parametrize("command", ["margin", "greeks"])
def test_help_teaches_by_an_example(command):
    text = " ".join(run(command, "--help").output.split())
    example = re.search(rf"keeper ({command} docs/examples/\S+ [a-z0-9 -]*?)(?= Exit| ╭)", text)
    assert example is not None
    assert run(*example[1].split()).exit_code == 0


@pytest.mark.parametrize(("command", "printed"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_the_page_shows_what_the_program_prints(command, printed):
    assert lines(run(*shlex.split(command)).output) == lines(printed)


def lines(text):
    """Return the lines without what a last bit may turn: the sign of nothing, and the vol that decides a forward."""
    text = text.replace("-0.0000", " 0.0000")
    text = re.sub(r"(│ basis +│ BTC: spot \+1 vol )(up  |down)", r"\1up  ", text)
    return [line.rstrip() for line in text.splitlines()]


def test_the_short_file_of_the_page_is_a_book():
    short = re.search(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert short is not None
    file = read_book(short[1], "page")
    assert margin(Span(), file.book, file.market).equity[0] == margin(Span(), FILE.book, FILE.market).equity[0]


def test_the_page_has_worked_examples():
    assert len(CONSOLE) >= 3


def test_the_page_describes_every_model():
    headings = re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)
    assert headings == list(MODELS)


def test_the_worked_numbers_of_the_page_are_the_books():
    """Σ positions at marks plus cash is what the page's first table calls equity."""
    equity = mark_to_market(FILE.book, mark_values(FILE.book.instruments, FILE.market))
    shown = re.findall(r"^│ (\S+) +│ (?:healthy|endangered) +│ +[\d.]+ │ +([\d,.-]+) │", CONSOLE[0][1], re.MULTILINE)
    assert [float(number.replace(",", "")) for _, number in shown] == np.round(equity, 2).tolist()
