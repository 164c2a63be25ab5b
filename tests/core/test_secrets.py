import pytest

from losstune.core.secrets import without_credentials

URL = "https://me:secret@example.com/group/study.git"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "https://example.com/group/study.git"),
        ("https://a-token@example.com/x.git", "https://example.com/x.git"),
        ("https://example.com:8443/x.git?private_token=secret", "https://example.com:8443/x.git"),
        ("ssh://git:secret@example.com:22/x.git", "ssh://git@example.com:22/x.git"),
        ("git@example.com:group/x.git", "git@example.com:group/x.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("postgresql://me:secret@example.com/mlflow", "postgresql://example.com/mlflow"),
    ],
)
def test_credentials_are_not_shown(url, shown):
    assert without_credentials(url) == shown
