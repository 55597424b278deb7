"""The configuration: the example is valid, and whatever is wrong with a file is said by key, never by traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keeper.config import keystore_password, load
from keeper.config_fields import checksummed
from keeper.errors import ConfigError, ExitCode, redacted
from keeper.executors import rules_of
from keeper.sending.priority import SendingPolicy

KINDS = {"perp_curie": "perpetual", "reference": "portfolio"}
EXAMPLE = Path(__file__).parents[2] / "keeper.example.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
VITALIK = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"

# [[oracle]] comes before [[parameter]], so the first `symbol` line is the oracle's.
LIVE = f'mode = "live"\nkeystore = "key.json"\naddress = "{VITALIK}"'


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "keeper.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1)


WITHOUT_DEFAULT = (
    "keystore",
    "auth_key",
    "socket",
    "address",
    "executor",
    "gas_token_usd",
    "max_ether_per_block",
    "loss_ether_per_day",
    "inbox",
)


def uncommented():
    """Return the example with every commented default in force."""
    lines = []
    for line in TEXT.splitlines():
        bare = line.removeprefix("# ")
        setting = line.startswith("# ") and bare.split(" = ")[0].isidentifier() and " = " in bare
        lines.append(bare if setting and not bare.startswith(WITHOUT_DEFAULT) else line)
    return "\n".join(lines)


def test_the_example_is_valid():
    config = load(EXAMPLE, venues=KINDS, environ={})
    assert (config.chain.rpc_url, config.chain.chain_id) == ("http://127.0.0.1:8545", 10)
    assert config.oracle[0].heartbeat_seconds == 1_200
    assert config.parameter[0].name == "mm_ratio_buffer"
    assert config.signer.mode == "observe"


def test_the_examples_comments_state_the_defaults(write):
    assert uncommented() != TEXT
    assert load(write(uncommented()), environ={}) == load(EXAMPLE, environ={})


OTHER = "0x00000000219ab540356cBB839Cbe05303d7705Fa"


def test_more_keys_lie_beside_the_file_and_each_is_a_lane_of_its_own(write):
    more = f'{LIVE}\nkey = [{{ address = "{OTHER}", keystore = "second.json" }}]'
    path = write(changed('mode = "observe"', more))
    signer = load(path, environ={}).signer
    assert signer.addresses == (VITALIK, OTHER)
    assert signer.keystores == {VITALIK: path.parent / "key.json", OTHER: path.parent / "second.json"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (f'{LIVE}\nkey = [{{ address = "{VITALIK}", keystore = "k" }}]', "found one twice or none"),
        (f'{LIVE}\nkey = [{{ address = "{OTHER}" }}]', "expected a keystore for each"),
        (f'mode = "observe"\nkey = [{{ address = "{OTHER}" }}]', "found one twice or none"),
    ],
)
def test_a_key_is_named_once_and_with_its_keystore(write, more, says):
    with pytest.raises(ConfigError, match=says):
        load(write(changed('mode = "observe"', more)), environ={})


RELAY = 'urls = ["https://relay.example"]\nkinds = ["take_auction"]\nauth_key = "relay.key"\n'
NO_RELAY = "# urls = []  "


def test_a_relay_key_lies_beside_the_file(write):
    path = write(changed(NO_RELAY, RELAY + NO_RELAY))
    assert load(path, environ={}).relay.auth_key == path.parent / "relay.key"


def test_the_inbox_lies_beside_the_file(write):
    path = write(changed("# inbox = ", "inbox = "))
    assert load(path, environ={}).reports.inbox == path.parent / "inbox"
    assert load(write(TEXT), environ={}).reports.inbox is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('auth_key = "relay.key"', "", "urls, kinds and auth_key"),
        ('"take_auction"', '"publish_arrays"', "relay.kinds"),
        ("urls", "deadline_blocks = 3\nurls", "plan_lifetime_blocks"),
    ],
)
def test_a_relay_is_whole_and_its_plans_become_public(write, old, new, says):
    assert old in RELAY
    with pytest.raises(ConfigError, match=says):
        load(write(changed(NO_RELAY, RELAY.replace(old, new, 1) + NO_RELAY)), environ={})


def test_live_takes_the_keystore_from_beside_the_file(write):
    path = write(changed('mode = "observe"', LIVE))
    signer = load(path, environ={}).signer
    assert signer.keystore == path.parent / "key.json"
    assert (signer.address, signer.max_fee, signer.tip) == (VITALIK, 100 * 10**9, 2 * 10**9)


def test_addresses_are_normalised_to_their_checksum(write):
    lower = "0x82ac2ce43e33683c58be4cdc40975e73aa50f459"
    text = changed("0x82ac2CE43e33683c58BE4cDc40975E73aA50f459", lower)
    text = text.replace('"mm_ratio_buffer"', f'"collateral_ratio:{VITALIK.lower()}"')
    config = load(write(text), environ={})
    assert config.venue.clearing_house == "0x82ac2CE43e33683c58BE4cDc40975E73aA50f459"
    assert config.parameter[0].name == f"collateral_ratio:{VITALIK}"
    assert checksummed(VITALIK) == VITALIK


def test_the_environment_overrides_urls(write):
    path = write(changed('rpc_url = "http://127.0.0.1:8545"', ""))
    environ = {"KEEPER_RPC_URL": "https://node/v3/KEY", "KEEPER_JOURNAL_URL": "postgresql+psycopg://u:PW@db/keeper"}
    config = load(path, environ=environ)
    assert config.chain.rpc_url == "https://node/v3/KEY"
    assert config.journal.url == "postgresql+psycopg://u:PW@db/keeper"
    assert "KEY" not in repr(config)
    assert "PW" not in repr(config)
    with pytest.raises(ConfigError, match=r"chain\.rpc_url: expected a setting, found none"):
        load(path, environ={"KEEPER_RPC_URL": ""})


def test_several_endpoints_are_each_kept_once_and_the_first_serves_hot_reads(write):
    only = '"https://a.example/KEY", "http://127.0.0.1:8545", "https://a.example/KEY"'
    chain = load(write(changed('rpc_url = "http://127.0.0.1:8545"', f"rpc_urls = [{only}]")), environ={}).chain
    assert chain.rpc_url == "https://a.example/KEY"
    assert chain.endpoints == ("https://a.example/KEY", "http://127.0.0.1:8545")
    assert "KEY" not in repr(chain)
    both = changed("chain_id = 10 ", f"rpc_urls = [{only}]\nchain_id = 10 ")
    assert load(write(both), environ={}).chain.endpoints == ("http://127.0.0.1:8545", "https://a.example/KEY")
    environ = {"KEEPER_RPC_URL": "https://c.example/"}
    assert load(write(both), environ=environ).chain.endpoints[0] == "https://c.example/"


@pytest.mark.parametrize(
    ("urls", "complaint"),
    [
        ('["http://h:1/x", "SECRET"]', "chain.rpc_urls[1]: expected a URL such as https"),
        ('["http://h:1/x", 7]', "chain.rpc_urls[1]: expected a valid string, found 7"),
        ('"https://h/SECRET"', "chain.rpc_urls: expected an array, found https://h/…"),
        ('["ftp://h/SECRET"]', "chain.rpc_urls[0]: expected a URL such as https"),
    ],
)
def test_a_bad_endpoint_is_named_by_its_place_without_its_secret(write, urls, complaint):
    with pytest.raises(ConfigError) as refusal:
        load(write(changed("chain_id = 10 ", f"rpc_urls = {urls}\nchain_id = 10 ")), environ={})
    assert complaint in str(refusal.value)
    assert "SECRET" not in str(refusal.value)


def test_a_bad_url_from_the_environment_names_the_variable():
    with pytest.raises(ConfigError, match=r"chain\.rpc_url \(from KEEPER_RPC_URL\): expected a URL") as refusal:
        load(EXAMPLE, environ={"KEEPER_RPC_URL": "node/v3/SECRET"})
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("chain_id = 10 ", "chainid = 10 ", "chain.chainid: expected no such key; did you mean chain_id?"),
        ("chain_id = 10 ", "chainid = 10 ", "chain.chain_id: expected a setting, found none"),
        ("chain_id = 10 ", 'chain_id = "10" ', "chain.chain_id: expected a valid integer, found '10'"),
        ("chain_id = 10 ", "chain_id = true ", "chain.chain_id: expected a valid integer, found True"),
        ("chain_id = 10 ", "chain_id = 0 ", "chain.chain_id: expected greater than 0, found 0"),
        ("chain_id = 10 ", f"chain_id = 0x{'f' * 9000} ", "chain.chain_id: expected"),
        ("chain_id = 10 ", "chain_id = 10\nconfirmations = -1 ", "chain.confirmations: expected greater than or equal"),
        ("chain_id = 10 ", "chain_id = 10\npoll_seconds = 0 ", "chain.poll_seconds: expected greater than 0"),
        ("chain_id = 10 ", "chain_id = 10\npoll_seconds = nan ", "chain.poll_seconds: expected a finite number"),
        ("chain_id = 10 ", "chain_id = 10\ntimeout_seconds = inf ", "chain.timeout_seconds: expected a finite number"),
        ("http://127.0.0.1:8545", "ftp://host/SECRET", "chain.rpc_url: expected a URL such as https"),
        ("http://127.0.0.1:8545", "https://u:SECRET@h:99999/SECRET", "chain.rpc_url: expected a URL such as https"),
        ("http://127.0.0.1:8545", "SECRET", "chain.rpc_url: expected a URL such as https"),
        ('rpc_url = "http://127.0.0.1:8545"', 'rpc_ulr = "https://h/SECRET"', "chain.rpc_ulr: expected no such key"),
        ("[chain]", "[chian]", "chian: expected no such key; did you mean chain?"),
        ("[chain]", "[chian]", "chain: expected a setting, found none"),
        ("[chain]", 'chain = "https://h/SECRET"\n[policies]', "chain: expected a table, found https://h/…"),
        ('"perp_curie"', '"perp_curry"', "venue.name: expected one of perp_curie, reference; found 'perp_curry'"),
        (
            "0x82ac2C",
            "0x82ac2c",
            "venue.clearing_house: expected the checksum of 0x82ac2CE43e33683c58BE4cDc40975E73aA50f459",
        ),
        ("0x82ac2C", "0x82ac", "venue.clearing_house: expected an address, 0x and 40 hexadecimal digits"),
        ("start_block = 0 ", "start_block = -1 ", "venue.start_block: expected greater than or equal to 0, found -1"),
        ("[[oracle]]\n", "[oracle]\n", "oracle: expected tables [[oracle]], found a table"),
        (
            "heartbeat_seconds = 1_200",
            "heartbeat_seconds = 1_200.5",
            "oracle[0].heartbeat_seconds: expected a valid integer",
        ),
        ('source = "chainlink"', 'source = "pyth"', "oracle[0].source: expected 'chainlink', found 'pyth'"),
        ("decimals = 8", "decimals = 300", "oracle[0].decimals: expected less than or equal to 77, found 300"),
        ("min_answer = 10.0", "min_answer = 1e7", "oracle[0]: expected min_answer < max_answer, found 1e+07 and 1e+06"),
        ("min_answer = 10.0", "min_answer = 0", "oracle[0].min_answer: expected greater than 0"),
        ("min_answer = 10.0", "min_anser = 1.0", "oracle[0].min_anser: expected no such key; did you mean min_answer?"),
        ("[policy]", "[policy]\nliquidate = 1", "policy.liquidate: expected a valid boolean, found 1"),
        (
            "[policy]",
            "[policy]\nmin_shortfall_usd = -1",
            "policy.min_shortfall_usd: expected greater than or equal to 0",
        ),
        ("[policy]", "[policy]\nact_on = {}", "policy.act_on: expected no such key"),
        ('name = "mm_ratio_buffer"', 'name = "MM buffer"', "parameter[0].name: expected a parameter such as"),
        ('name = "mm_ratio_buffer"', 'name = "collateral_ratio:0x12"', "parameter[0].name: expected an address"),
        (
            'symbol = "ETH"                       #',
            'symbol = "BTC" #',
            "parameter[0].symbol: expected the symbol of an [[oracle]] (ETH)",
        ),
        (
            "calm = 5_000",
            "calm = 1_000_001",
            "parameter[0]: expected numbers of at most 1000000 parts per million, found 1000001",
        ),
        ("calm = 5_000", "calm = 20_000", "parameter[0]: expected calm and stressed to differ, found 20000"),
        (
            "volatility_calm = 0.6",
            "volatility_calm = 1.5",
            "parameter[0]: expected volatility_calm < volatility_stressed",
        ),
        ("max_step_tighten = 5_000", "max_step_tighten = 0", "parameter[0].max_step_tighten: expected greater than 0"),
        (
            "deadband = 500 ",
            "deadband = 15_001 ",
            "parameter[0]: expected deadband of at most |stressed - calm| = 15000",
        ),
        ('mode = "observe"', 'mode = "live"', 'signer: expected a keystore or a signer\'s socket for mode = "live"'),
        ('mode = "observe"', 'mode = "shadow"', 'signer: expected an address for mode = "shadow"'),
        ('mode = "observe"', 'mode = "dry"', "signer.mode: expected 'observe', 'shadow' or 'live', found 'dry'"),
        ('mode = "observe"', "tip_gwei = 60.0", "signer: expected tip_gwei <= tip_ceiling_gwei, found 60, 50"),
        (
            'mode = "observe"',
            "max_ether_per_hour = 0.1",
            "signer: expected max_ether_per_transaction <= per_hour <= per_day, found 0.5, 0.1, 50",
        ),
        (
            "[sending]",
            '[sending]\npolicy = "profit"',
            'signer.gas_token_usd: expected for sending.policy = "profit", found none',
        ),
        (
            "[sending]",
            '[sending]\npolicy = "profit"\nloss_ether_per_day = 1.0',
            'sending: expected no loss_ether_per_day for policy = "profit"',
        ),
        ("[sending]", "[sending]\nleast_net_ether = 1.0", "sending: expected no least_net_ether for policy"),
        ("[sending]", "[sending]\nreserved = 1.5", "sending.reserved: expected less than or equal to 1"),
        ('mode = "observe"', "tip_gwei = 200.0", "signer: expected tip_gwei <= max_fee_gwei, found 200, 100"),
        ('mode = "observe"', 'password = "SECRET"', "signer.password: expected no such key"),
        ("[journal]", '[journal]\nurl = "keeper.db"', "journal.url: expected a SQLAlchemy URL"),
        ("[journal]", '[journal]\nurl = "mysql://u:SECRET@h/db"', "journal.url: expected a SQLAlchemy URL"),
        ("[journal]", "[journal]\nkeep_ticks = 0", "journal.keep_ticks: expected greater than 0"),
        ("[jobs]", "[jobs]\nprune_seconds = []", "jobs.prune_seconds: expected a valid number, found an array"),
        ("[jobs]", "[jobs]\nprune_secs = 5", "jobs.prune_secs: expected no such key; did you mean prune_seconds?"),
        ("[jobs]", "[jobs", "expected TOML in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_by_key(write, old, new, complaint):
    with pytest.raises(ConfigError) as refusal:
        load(write(changed(old, new)), venues=KINDS, environ={})
    assert complaint in str(refusal.value)
    assert "keeper.toml" in str(refusal.value)
    assert "SECRET" not in str(refusal.value)
    assert refusal.value.__cause__ is None or "SECRET" not in repr(refusal.value.__cause__)
    assert refusal.value.exit_code == ExitCode.CONFIG


def test_everything_wrong_is_said_at_once(write):
    text = (
        changed("chain_id = 10 ", "chain_id = 0 ").replace("decimals = 8", "decimals = -1").replace("[jobs]", "[job]")
    )
    with pytest.raises(ConfigError, match=r"3 setting\(s\) to correct") as refusal:
        load(write(text), environ={})
    for key in ("chain.chain_id:", "oracle[0].decimals:", "job:"):
        assert key in str(refusal.value)


def test_repeated_tables(write):
    oracle = TEXT[TEXT.index("[[oracle]]\n") : TEXT.index("[policy]")]
    parameter = TEXT[TEXT.index("[[parameter]]\nname") : TEXT.index("[portfolio]")]
    with pytest.raises(ConfigError, match=r"oracle\.address: expected each once"):
        load(write(TEXT.replace("[policy]", oracle + "[policy]")), environ={})
    with pytest.raises(ConfigError, match=r"parameter\.name: expected each once, found mm_ratio_buffer"):
        load(write(TEXT.replace("[signer]", parameter + "[signer]")), environ={})
    with pytest.raises(ConfigError, match=r"oracle: expected at least one"):
        load(write("oracle = []\n" + TEXT.replace(oracle, "")), venues=KINDS, environ={})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"No such file or directory; copy keeper\.example\.toml"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_the_password_comes_from_the_environment_or_a_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(" with spaces \r\n")
    assert keystore_password({"KEEPER_KEYSTORE_PASSWORD": "secret"}).get_secret_value() == "secret"
    from_file = keystore_password({"KEEPER_KEYSTORE_PASSWORD_FILE": str(path)})
    assert from_file.get_secret_value() == " with spaces "
    assert "spaces" not in repr(from_file)
    with pytest.raises(ConfigError, match="found neither"):
        keystore_password({})
    with pytest.raises(ConfigError, match="FileNotFoundError; check the path"):
        keystore_password({"KEEPER_KEYSTORE_PASSWORD_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://mainnet.infura.io/v3/KEY", "https://mainnet.infura.io/…"),
        ("wss://user:KEY@host:8546/?token=KEY#KEY", "wss://host:8546/…"),
        ("postgresql+psycopg://u:KEY@db:5432/keeper", "postgresql+psycopg://db:5432/…"),
        ("sqlite:///keeper.db?KEY", "sqlite:///keeper.db"),
        ("host/KEY", "(not a URL)"),
        ("https://[KEY", "(an unreadable URL)"),
        ("https://h:KEY/", "(an unreadable URL)"),
    ],
)
def test_redacted_shows_scheme_host_and_port(url, shown):
    assert redacted(url) == shown


LITERALS = [
    *("0", "-1", "1e400", "nan", "-inf", "true", '""', '"\\u0000"', "[]", "{}", "[[]]", "[{}]", "1979-05-27T07:32:00Z"),
    *('"0x"', '"http://[::1"', '"http://h:0"', '"sqlite:///\\u0000"', "0x" + "f" * 100, "9" * 5_000, f'"{"é" * 99}"'),
]
literals = st.sampled_from(LITERALS) | st.text(max_size=20).map(repr)
SETTINGS = [n for n, line in enumerate(uncommented().splitlines()) if " = " in line and not line.startswith("#")]


@st.composite
def mangled(draw):
    lines = uncommented().splitlines()
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.sampled_from(SETTINGS))
        key, _, _ = lines[number].partition(" = ")
        match draw(st.sampled_from(("other", "gone", "twice", "renamed"))):
            case "other":
                lines[number] = f"{key} = {draw(literals)}"
            case "gone":
                lines[number] = ""
            case "twice":
                lines[number] += "\n" + lines[number]
            case "renamed":
                lines[number] = f"{draw(st.text(max_size=8))!r} = 1"
    text = "\n".join(lines)
    start = draw(st.integers(0, len(text)))
    stop = draw(st.sampled_from([start, start, start + 1, start + 200]))
    return (text[:start] + draw(st.text(max_size=5)) + text[stop:]).encode("utf-8", "surrogatepass")


@given(mangled() | st.binary(max_size=200))
@example(b"a=" + b"[" * 5_000)
@example(b"\xff\xfe")
@example(b"[chain]\nrpc_url = 0o7777\n[[chain]]")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_raises_anything_but_config_error(tmp_path, content):
    path = tmp_path / "keeper.toml"
    path.write_bytes(content)
    try:
        load(path, venues=KINDS, environ={})
    except ConfigError as error:
        assert str(path) in str(error)


def test_the_process_environment_is_what_counts_by_default():
    path = "Path('keeper.example.toml')"
    script = f"from pathlib import Path; from keeper.config import load; print(load({path}).chain.rpc_url)"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=EXAMPLE.parent,
        env={**os.environ, "KEEPER_RPC_URL": "http://other:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "http://other:1"


# --- portfolio venues --------------------------------------------------------------------------------


def test_a_venue_with_its_own_prices_needs_no_oracle(write):
    bare = re.sub(r"\[\[oracle\]\].*?(?=\n\[policy\])", "", TEXT, flags=re.DOTALL)
    bare = re.sub(r"\[\[parameter\]\].*?(?=\n\[portfolio\])", "", bare, flags=re.DOTALL)
    with pytest.raises(ConfigError, match="at least one"):
        load(write(bare), venues=KINDS, environ={})
    assert load(write(bare.replace('"perp_curie"', '"reference"')), venues=KINDS, environ={}).oracle == ()


def test_a_publisher_names_at_most_four_underlyings_by_number(write):
    def named(numbers):
        return write(changed("# publish_underlyings = []", f"publish_underlyings = {numbers}"))

    assert load(named("[0, 3, 5, 29]"), environ={}).portfolio.publish_underlyings == (0, 3, 5, 29)
    for wrong in ("[0, 1, 2, 3, 4]", "[-1]", '["ETH"]'):
        with pytest.raises(ConfigError, match=r"portfolio\.publish_underlyings"):
            load(named(wrong), environ={})


def test_takers_are_owners_or_sub_accounts_of_owners(write):
    named = changed("# takers = []", f'takers = ["{VITALIK.lower()}/12", "{VITALIK}"]')
    assert load(write(named), environ={}).portfolio.takers == (f"{VITALIK}/12", VITALIK)
    for wrong in (f"{VITALIK}/0", f"{VITALIK}/", f"{VITALIK}/x", "12"):
        with pytest.raises(ConfigError, match=r"portfolio\.takers\[0\]"):
            load(write(changed("# takers = []", f'takers = ["{wrong}"]')), environ={})


def test_an_executor_is_an_address_and_off_where_none_is_named(write):
    line = '# executor = "0x…"'
    assert load(write(TEXT), environ={}).portfolio.executor is None
    assert load(write(changed(line, f'executor = "{VITALIK.lower()}"')), environ={}).portfolio.executor == VITALIK
    with pytest.raises(ConfigError, match=r"portfolio\.executor"):
        load(write(changed(line, 'executor = "0x12"')), environ={})


def test_taking_without_a_taker_is_refused(write):
    with pytest.raises(ConfigError, match="takers"):
        load(write(changed("# take = false ", "take = true ")), environ={})


@pytest.mark.parametrize("share", ["0.0", "1.01"])
def test_arrays_are_published_within_the_move_limit(write, share):
    with pytest.raises(ConfigError, match="publish_after_move"):
        load(write(changed("# publish_after_move = 0.5", f"publish_after_move = {share}")), environ={})


def test_the_policy_and_the_caps_that_a_lane_gets(write):
    less = changed("[sending]", "[sending]\nloss_ether_per_day = 2.0\nreserved = 0.25")
    rules = rules_of(load(write(less), environ={}))
    assert (rules.policy, rules.reserved_ppm) == (SendingPolicy("protocol", loss_budget=2 * 10**18), 250_000)
    caps = rules.caps
    found = (caps.per_transaction, caps.per_block, caps.per_hour, caps.per_day, caps.exposure)
    assert found == tuple(ether * 10**17 for ether in (5, 50, 100, 500, 50))
    usual = rules_of(load(EXAMPLE, environ={})).policy
    assert usual == SendingPolicy("protocol", loss_budget=50 * 10**18)
    paid = changed("[sending]", '[sending]\npolicy = "profit"\nleast_net_ether = 0.5')
    rules = rules_of(load(write(paid.replace("# gas_token_usd", "gas_token_usd")), environ={}))
    assert (rules.policy, rules.priced) == (SendingPolicy("profit", least_net=5 * 10**17), True)
