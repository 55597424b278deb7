"""A journal in each of the two databases, for tests of what is stored; a file may have its own instead."""

import pytest

from tests.ledger_world import file_url, opened


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return file_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def journal(url):
    with opened(url) as journal:
        yield journal
