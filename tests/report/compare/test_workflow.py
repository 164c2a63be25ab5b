"""The workflow that comments on a pull request: as few rights as it needs, and nothing of the request is code."""

from ruamel.yaml import YAML

from tests.paths import REPOSITORY

WORKFLOW = YAML(typ="safe", pure=True).load(
    (REPOSITORY / ".github" / "workflows" / "compare.yml").read_text(encoding="utf-8")
)
STEPS = WORKFLOW["jobs"]["compare"]["steps"]


def test_rights_are_the_fewest():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["jobs"]["compare"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert list(WORKFLOW["on"]) == ["pull_request"], "pull_request_target would run a fork's code with rights"
    (checkout,) = (step for step in STEPS if "checkout" in step.get("uses", ""))
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}


def test_nothing_of_a_request_is_written_into_a_script():
    for step in STEPS:
        assert "${{" not in step.get("run", "")
    holders = [step["name"] for step in STEPS if "GH_TOKEN" in step.get("env", {})]
    assert holders == ["Comment"], "only the step that comments holds the token"


def test_it_compares_the_two_commits():
    (compare,) = (step for step in STEPS if step.get("name") == "Compare")
    assert 'losstune compare "$BASE" "$HEAD" --format markdown' in compare["run"]
