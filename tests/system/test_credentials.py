"""No password reaches a log, a table or a page."""

import pytest

from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.credentials import without_password
from regbench.tracking import tracking_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://***@host/db"),
        ("https://secret@host", "https://***@host"),
        ("postgresql://me:sec/ret@host/db", "postgresql://***@host/db"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***@host/db"),
        ("postgresql://host/db?user=me&password=secret&a=b", "postgresql://host/db?user=me&password=***&a=b"),
        ("https://host/?ACCESS_TOKEN=secret", "https://host/?ACCESS_TOKEN=***"),
        ("no route to https://me:secret@host today", "no route to https://***@host today"),
        ("sqlite:////home/me/results/mlflow.db", "sqlite:////home/me/results/mlflow.db"),
    ],
)
def test_credentials_are_not_shown(uri, shown):
    assert without_password(uri) == shown


@pytest.mark.parametrize(
    ("uri", "shown", "secret"),
    [
        ("postgresql://me:secret@host/db", "postgresql://***@host/db", True),
        ("https://host/?token=secret", "https://host/?token=***", True),
        ("https://host", "https://host", False),
        (None, "sqlite:///{results}/mlflow.db", False),
    ],
)
def test_a_uri_to_connect_to_and_one_to_show(tiny, uri, shown, secret):
    study = Study(load({**tiny, "tracking": {"uri": uri}}))
    assert study.shown_uri == shown.format(results=study.config.results)
    assert study.has_password is secret
    assert tracking_uri(study) == uri or uri is None
