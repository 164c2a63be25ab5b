"""Every pack of the library is valid, can run, and says what it is."""

import pytest

from losstune.losses.registry import registry
from losstune.packs.loading import BUNDLED, library_names, load_pack
from losstune.packs.run import check_cell, missing_data, own_code_of
from losstune.study.plan_size import num_controls

PACKS = library_names()


def test_the_library_has_the_prior_studies():
    assert set(PACKS) >= {
        "drager-2022", "hui-2021", "janocha-2017", "kornblith-2021", "long-tail", "ma-2020", "zhang-2018",
    }  # fmt: skip


@pytest.mark.parametrize("name", PACKS)
def test_settings_of_a_pack_are_valid_and_its_losses_exist(name, tmp_path):
    pack = load_pack(name)
    for cell in pack.cells.values():
        with own_code_of(pack):
            check_cell(pack, cell)  # losses, model, and that the budget pays for the first look
        assert set(cell.params.loss_names) <= registry().keys()
        assert cell.params.is_pooled
        assert not cell.params.data.download
        assert not cell.params.tracking.enabled
    seeds = [cell.params.study.seed for cell in pack.cells.values()]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_runs_on_what_is_there_and_names_what_is_not(name):
    pack = load_pack(name)
    runnable = [cell for cell in pack.cells.values() if missing_data(pack, cell) is None]
    assert runnable
    for cell in pack.cells.values():
        facts = pack.content.cells[cell.name]
        assert (facts.needs is None) == (cell.params.data.name == BUNDLED)
        assert (facts.stand_in is None) == (facts.needs is not None)
        assert any(cell.name in claim.cells for claim in pack.content.claims), cell.name
    for claim in pack.content.claims:
        assert {cell.name for cell in runnable} & set(claim.cells), claim.id


@pytest.mark.parametrize("name", PACKS)
def test_a_budget_pays_for_two_looks(name):
    for cell in load_pack(name).cells.values():
        params, num_losses = cell.params, len(cell.params.losses)
        trials = params.tune.trials_per_loss
        first, second = num_losses * (trials + 4), num_losses * (2 * trials + 9)
        assert first < params.budget.trainings, cell.name
        if not load_pack(name).content.cells[cell.name].needs:
            assert first + second + num_controls(params) <= params.budget.trainings, cell.name


@pytest.mark.parametrize("name", PACKS)
def test_the_sources_of_a_pack_are_complete(name):
    content = load_pack(name).content
    for source in content.sources:
        assert source.arxiv, "every study of the library is on arXiv"
        assert all(" " in author for author in source.authors), "first and last names"
    assert str(content.sources[0].year) in name or len(content.sources) > 1
