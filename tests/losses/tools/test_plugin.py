"""``losstune losses check`` on a user's own file."""

from __future__ import annotations

import sys

import pytest

from losstune.cli.main import main
from losstune.losses.tools.plugin import specs_in

GOOD = """
from dataclasses import replace
from losstune.losses.registry import get
MINE = replace(get("focal"), name="mine")
"""
BROKEN = (
    GOOD
    + """
from dataclasses import replace as _replace
WRONG = _replace(MINE, name="wrong", properties=_replace(MINE.properties, convex=True))
"""
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["losses", *map(str, arguments)])
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


def test_a_good_loss_passes(tmp_path, capsys):
    path = tmp_path / "my_losses.py"
    path.write_text(GOOD)
    main(["losses", "check", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine"
    assert len(lines) > 15
    assert all(line.startswith("  ok") for line in lines[1:-1])
    assert lines[-1] == "  note    identical to focal of the catalogue: L = L(z)"


def test_a_wrong_claim_is_one_line_and_exit_code_1(tmp_path, capsys):
    path = tmp_path / "my_losses.py"
    path.write_text(BROKEN)
    code, out, err = run(capsys, "check", path)
    failed = [line for line in out.splitlines() if "FAILED" in line]
    assert code == 1
    assert len(failed) == 1
    assert failed[0].startswith("  FAILED  convexity: declared convex: the midpoint is")
    assert err == f"losstune: {path}: 1 checks failed\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; expected a Python file that defines a LossSpec"),
        ("import nothing_of_the_kind", "cannot be run: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("raise SystemExit(3)", "cannot be run: SystemExit: 3"),
        (
            "from losstune.losses.focal import SPEC",
            "found no LossSpec at its top level; expected one, such as SPEC = LossSpec(name=...)",
        ),
        ("x = 1", "found no LossSpec at its top level; expected one, such as SPEC = LossSpec(name=...)"),
    ],
)
def test_a_bad_file_is_one_line_and_exit_code_2(tmp_path, capsys, text, message):
    path = tmp_path / "my_losses.py"
    if text is not None:
        path.write_text(text)
    code, out, err = run(capsys, "check", path)
    assert (code, out) == (2, "")
    assert err == f"losstune: {path}: {message}\n"
    assert not list(tmp_path.glob("**/*.pyc"))


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("NAME = 'mine'")
    path = tmp_path / "my_losses.py"
    path.write_text(
        "from dataclasses import replace\nfrom helper_of_mine import NAME\n"
        "from losstune.losses.focal import SPEC\nMINE = replace(SPEC, name=NAME)\n"
    )
    before = list(sys.path)
    assert [spec.name for spec in specs_in(path)] == ["mine"]
    assert sys.path == before


def test_an_alias_is_described_as_what_it_is(capsys):
    main(["losses", "describe", "cauchy_schwarz"])
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("cauchy_schwarz is another name for cross_entropy: CE(2z) / 2 (hard labels).")
    assert "convex, strictly proper, unbounded" in out


def test_a_loss_says_what_it_needs(capsys):
    main(["losses", "describe", "ldam"])
    out = " ".join(capsys.readouterr().out.split())
    assert "needs the class frequencies, a normalised last layer (provided by the trainer)" in out


def test_scale_lists_every_loss(capsys):
    main(["losses", "scale", "--classes", "100"])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["cross_entropy"] == ["1", "1"]
    assert float(rows["exponential"][0]) == pytest.approx(100)
