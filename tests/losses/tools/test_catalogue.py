from __future__ import annotations

from typing import get_args

import pytest

from losstune.cli.main import main
from losstune.losses.registry import registry
from losstune.losses.spec import Family
from losstune.losses.tools.catalogue import ORDERS, TRAITS, choose, description, table_rows
from tests.losses.cases import each_spec


@each_spec
def test_every_loss_has_a_family_and_says_when_to_use_it(spec):
    assert spec.family in get_args(Family)
    assert spec.family != "other"
    assert spec.use.endswith(".")


def test_all_are_chosen_by_default_in_the_order_of_their_names():
    assert [spec.name for spec in choose()] == sorted(registry())


def test_traits_are_and_ed():
    names = {spec.name for spec in choose(having=["bounded", "symmetric"], lacking=["hyperparameters"])}
    assert names == {"mae", "nce"}
    assert {spec.name for spec in choose(family="margin")} == {"crammer_singer", "weston_watkins", "ovr_hinge"}


@pytest.mark.parametrize("trait", list(TRAITS))
def test_every_trait_tells_losses_apart(trait):
    with_it, without = choose(having=[trait]), choose(lacking=[trait])
    assert with_it
    assert without
    assert len(with_it) + len(without) == len(registry())


@pytest.mark.parametrize("order", list(ORDERS))
def test_an_order_keeps_all(order):
    assert {spec.name for spec in choose(order=order)} == set(registry())


def test_sorted_by_scale_the_weakest_pull_comes_first():
    assert [spec.name for spec in choose(order="scale")][:: len(registry()) - 1] == ["nce", "logit_norm"]


def test_a_row_names_hyperparameters_properties_and_source():
    (row,) = table_rows([registry()["gce"]])
    assert row == ("gce", "true-class", "q=0.7", "strictly proper, at most 1.43", "Zhang & Sabuncu 2018")


@each_spec
def test_a_description_is_complete(spec):
    stands_for, rows, code = description(spec.name)
    assert stands_for is None
    titles = [title for title, _ in rows]
    assert titles[0] == spec.name
    assert {"formula", "use", "family", "source", "targets", "properties", "scale"} <= set(titles)
    assert {item.name for item in spec.hyperparameters} <= set(titles)
    assert titles.count("limit") == len(spec.limits)
    assert f"def {spec.function.__name__}(" in code


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["losses", *arguments])
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


def test_the_table_is_printed_without_a_command_too(capsys):
    main(["losses"])
    plain = capsys.readouterr().out
    main(["losses", "list"])
    assert capsys.readouterr().out == plain
    assert f"{len(registry())} losses" in plain
    for name in registry():
        assert f"\n{name} " in plain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--with", "bonded"), "--with: found 'bonded', expected one of convex, "),
        (("--family", "margins"), "--family: found 'margins', expected one of log-loss, "),
        (("--sort", "size"), "--sort: found 'size', expected one of name, family, year, scale, bound"),
    ],
)
def test_an_unknown_filter_is_one_line(capsys, arguments, message):
    code, out, err = run(capsys, "list", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"losstune: {message}")
    assert err.count("\n") == 1


def test_identities_over_the_catalogue_are_the_control_alone(capsys):
    main(["losses", "identities"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "cross_entropy = kl_divergence",
        f"{len(registry())} losses, {len(registry()) - 1} of them different",
    ]


def test_plot_writes_what_it_says(tmp_path, capsys):
    path = tmp_path / "two.svg"
    main(["losses", "plot", "focal:gamma=0.5", "sparsemax", "--output", str(path), "--classes", "4"])
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert ">focal:gamma=0.5<" in path.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("focal:gamma", "focal:gamma: found 'gamma', expected hyperparameter=number"),
        ("focal:gamma=-1", "focal:gamma=-1: focal: found gamma -1, expected a number >= 0"),
        ("focal:beta=1", "focal:beta=1: focal has no hyperparameter 'beta'; it has gamma"),
        ("fokal", "unknown loss 'fokal'; did you mean 'focal'?"),
    ],
)
def test_plot_of_what_there_is_not_is_one_line(tmp_path, capsys, name, message):
    code, out, err = run(capsys, "plot", name, "--output", str(tmp_path / "x.svg"))
    assert (code, out) == (2, "")
    assert err.startswith(f"losstune: {message}")
    assert not list(tmp_path.iterdir())


def test_plot_into_no_folder_is_one_line(tmp_path, capsys):
    code, _, err = run(capsys, "plot", "focal", "--output", str(tmp_path / "no" / "x.svg"))
    assert code == 2
    assert err == f"losstune: --output: {tmp_path / 'no'}: no such folder\n"
