"""No password reaches a log, a table or a page."""

import re
import string
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
        ("sqlite:////home/me@work/a#b/mlflow.db", "sqlite:////home/me@work/a#b/mlflow.db"),
        ("postgresql://me:se cr et@host/db", "postgresql://***@host/db"),
        ("MLflow at `postgresql://me:se cr et@host/db` is away", "MLflow at `postgresql://***@host/db` is away"),
        ("https://host/?api_key=secret&auth=secret;sig=secret", "https://host/?api_key=***&auth=***;sig=***"),
        ("https://host/?X-Amz-Signature=secret&page=2", "https://host/?X-Amz-Signature=***&page=2"),
        ("https://host/ui#access_token=secret", "https://host/ui#***"),
        ("https://host/#secret and more", "https://host/#***"),
        ("https://host/ui#@secret", "https://***"),
        ("https://me:a@host/ui#b@secret", "https://***"),
        ("postgresql://me:se#cret@host/db", "postgresql://***@host/db"),
        (
            "from https://a:b@c/d to http://host:5000/x, not more",
            "from https://***@c/d to http://host:5000/x, not more",
        ),
        ("no URI: a@b, key=value, 3 # 4", "no URI: a@b, key=value, 3 # 4"),
    ],
)
def test_credentials_are_not_shown(uri, shown):
    assert without_password(uri) == shown


SECRETS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + string.punctuation + " äé"), min_size=6, max_size=20
)
PLACES = {
    "password": "postgresql+psycopg://me:{}@db.host:5432/mlflow",
    "user": "https://{}@host/",
    "option": "https://host/x?a=1&api_key={}&b=2",
    "token": "mssql://host/db;token={}",
    "fragment": "https://host/ui#{}",
}


@settings(max_examples=400, deadline=None)
@given(secret=SECRETS, place=st.sampled_from(sorted(PLACES)), quoted=st.booleans())
def test_no_secret_of_any_uri_is_shown(secret, place, quoted):
    """Quoted as it has to be, or as people write it: an option ends at the separators, a user at the last ``@``."""
    text = quote(secret, safe="") if quoted else secret
    if not quoted and place in ("option", "token"):
        text = secret = re.sub("[&;#]", "x", text)
    assume(all(part not in PLACES[place] for part in (text, secret)))
    uri = PLACES[place].format(text)
    for shown in (
        without_password(uri),
        without_password(f"MLflow at `{uri}` must be reachable.", uri),
        without_password(f"(psycopg.Error) could not log in {text!s} at {uri}: {secret}", uri),
    ):
        assert text not in shown
        assert secret not in shown
        assert without_password(shown) == shown
    assert "host" in without_password(uri) or "@" in text or ("#" in text and uri.startswith("http"))


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
