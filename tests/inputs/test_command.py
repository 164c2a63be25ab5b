"""Commands that are wrong: misspelt, incomplete, out of range, or given before what they rest on."""

from __future__ import annotations

import pytest

from tests.inputs.project import Project, assert_says

COMMANDS: list[tuple[str, str]] = [
    ("tuen", "No such command 'tuen'. Did you mean 'tune'?; `losstune --help` shows the usage"),
    ("track snyc", "No such command 'snyc'. Did you mean 'sync'?; `losstune track --help` shows the usage"),
    ("--debgu check", "No such option '--debgu'. Did you mean '--debug'?"),
    ("check --fast", "No such option '--fast'"),
    ("check extra", "Got unexpected extra argument (extra)"),
    ("ui --prot 1", "No such option '--prot'. … '--port' … `losstune ui --help` shows the usage"),
    ("ui --port", "requires an argument"),
    ("ui --port x", "Invalid value for '--port': 'x' is not a valid integer range"),
    ("ui --port 70000", "Invalid value for '--port': 70000 is not in the range 1<=x<=65535"),
    ("study --data a", "Missing option '--model'"),
    ("study --data a --model b", "matrix.yaml: no such file; run losstune in the folder of the study"),
    ("losses describe", "Missing argument 'NAME'"),
    ("losses describe fokal", "unknown loss 'fokal'; did you mean 'focal'?"),
    ("losses list --sort nme", "--sort: found 'nme', expected one of name … did you mean 'name'?"),
    ("losses list --with bounde", "--with: found 'bounde', expected one of convex … did you mean 'bounded'?"),
    ("losses plot focal:gama=1", "focal:gama=1: focal has no hyperparameter 'gama'; it has gamma"),
    ("losses plot focal:gamma=x", "focal:gamma=x: found 'gamma=x', expected hyperparameter=number"),
    ("losses plot focal:gamma=nan", "focal:gamma=nan: focal: found gamma nan, expected a number >= 0"),
    ("losses plot focal --classes 1", "Invalid value for '--classes': 1 is not in the range x>=2"),
    ("losses plot focal --output no/x.svg", "--output: no: no such folder"),
    ("losses plot focal --output .", "--output: . is a folder, expected a file to write, such as losses.svg"),
    ("compare HEAD --format tabel", "--format: found 'tabel', expected one of table … did you mean 'table'?"),
    ("compare HEAD", "study: no Git repository; `losstune compare` and `losstune log` read its history"),
    ("log HEAD -n 0", "Invalid value for '-n': 0 is not in the range x>=1"),
    ("across nowhere", "nowhere: no such folder, expected one with a study's results.json"),
    ("across .", "results.json: no such file; `losstune report` writes it"),
    ("across --output params.yaml .", "Invalid value for '--output': Directory 'params.yaml' is a file"),
    ("tune", "data/prepared/manifest.json: no such file; `losstune prepare` writes it"),
    ("confirm", "data/prepared/manifest.json: no such file; `losstune prepare` writes it"),
    ("report", "data/prepared/manifest.json: no such file; `losstune prepare` writes it"),
    ("cost", "data/prepared/manifest.json: no such file; `losstune prepare` writes it"),
    ("promote", "tracking.enabled is false in params.yaml, so there is no registry to promote to"),
]


@pytest.mark.parametrize(("command", "message"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command(project: Project, command: str, message: str) -> None:
    assert_says(project.refused(*command.split()), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "results.json: not a study's results (Expecting value"),
        ("[]", "results.json: not a study's results ("),
        ("{}", "results.json: not a study's results (no 'results_version')"),
        ('{"results_version": ', "results.json: not a study's results (Expecting value"),
    ],
)
def test_results_that_are_none(project: Project, text: str, message: str) -> None:
    (project.folder / "results.json").write_text(text)
    assert_says(project.refused("across", ".", "."), message)


def test_a_group_without_a_command_is_answered_with_its_help(project: Project) -> None:
    ended = project.run("track")
    assert "sync" in ended.out + ended.err
