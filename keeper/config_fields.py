"""What the sections of the configuration file are made of: the table itself, and the kinds of settings in it."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from keeper.abi import address_at

PPM = 1_000_000


def checksummed(address: str) -> str:
    """Return the address checksummed (EIP-55). Raises ValueError if malformed or checksummed wrongly."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", address):
        raise ValueError("expected an address, 0x and 40 hexadecimal digits")
    right = address_at(bytes(12) + bytes.fromhex(address[2:]))
    if address not in (right, address.lower()):
        raise ValueError(f"expected the checksum of {right}; a digit is wrong, copy the address again")
    return right


def _rpc_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or parts.scheme not in ("http", "https"):
        raise ValueError("expected a URL such as https://host:port/path (http or https)")
    return url


def _journal_url(url: str) -> str:
    if not re.match(r"(sqlite|postgresql)(\+\w+)?://", url):
        raise ValueError("expected a SQLAlchemy URL such as sqlite:///keeper.db or postgresql+psycopg://host/keeper")
    return url


def _parameter_name(name: str) -> str:
    kind, colon, of = name.partition(":")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise ValueError("expected a parameter such as mm_ratio_buffer, collateral_ratio:0x… or im_scalar:0")
    if re.fullmatch(r"0|[1-9][0-9]{0,2}", of):
        return name
    return f"{kind}:{checksummed(of)}" if colon else name


def _account_name(name: str) -> str:
    """Return an account's name, its owner checksummed. Raises ValueError."""
    owner, slash, sub = name.partition("/")
    if slash and not re.fullmatch(r"[1-9][0-9]{0,28}", sub):
        raise ValueError("expected an owner's address, and for a sub-account a slash and its number behind it")
    return checksummed(owner) + slash + sub


RpcUrl = Annotated[str, AfterValidator(_rpc_url)]
JournalUrl = Annotated[str, AfterValidator(_journal_url)]
Address = Annotated[str, AfterValidator(checksummed)]
AccountName = Annotated[str, AfterValidator(_account_name)]
Positive = Annotated[int, Field(gt=0, lt=2**63)]
NotNegative = Annotated[int, Field(ge=0, lt=2**63)]
PositiveFloat = Annotated[float, Field(gt=0.0, le=1e18)]
NotNegativeFloat = Annotated[float, Field(ge=0.0, le=1e18)]
Number = Annotated[int, Field(ge=0, lt=2**128)]
Step = Annotated[int, Field(gt=0, lt=2**128)]
Text = Annotated[str, Field(min_length=1, max_length=100)]
ParameterName = Annotated[Text, AfterValidator(_parameter_name)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, types are not guessed, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
