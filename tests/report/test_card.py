from losstune.report.card import model_card
from tests.report.pooled import make_pooled
from tests.report.studies import make_study


def card_of(scores, loss):
    study = make_study(scores)
    record = next(row for row in study.confirm if row.configuration.loss == loss and row.role == "block").model_copy(
        update={"seed": 4711}
    )
    results = study.results()
    text = model_card(results, record, objective="focal(gamma=2)", link="By `x_link`.", takes="uint8 of shape (N, 1)")
    return text, results, record


SCORES = {"cross_entropy": [0.90 + 0.001 * (index % 3) for index in range(12)]}
BETTER = SCORES | {
    "focal": [score + 0.05 + 0.0005 * (index % 2) for index, score in enumerate(SCORES["cross_entropy"])]
}


def test_a_card_says_what_the_model_is_and_how_it_scored():
    text, results, record = card_of(BETTER, "focal")
    assert text.startswith(f"# {results.model} trained with focal on {results.data.name}\n")
    assert results.verdict.sentence in text
    for part in ("uint8 of shape (N, 1)", "By `x_link`.", "focal(gamma=2)", "seed 4711", results.data.digest[:16]):
        assert part in text
    row = next(line for line in text.splitlines() if line.startswith("| accuracy |"))
    blocks = BETTER["focal"]
    assert row == f"| accuracy | {record.test['accuracy']:.4f} | {sum(blocks) / len(blocks):.4f} |"


def test_a_card_says_what_was_changed_in_the_data():
    study = make_study(BETTER)
    record = next(row for row in study.confirm if row.role == "block")
    results = study.results()
    noisy = results.data.model_copy(update={"details": ("20% of the training labels wrong (symmetric)",)})
    text = model_card(results.model_copy(update={"data": noisy}), record, objective="", link="", takes="")
    assert f"`{results.data.digest[:16]}`; 20% of the training labels wrong (symmetric); registered as" in text


def test_a_card_says_which_part_the_model_plays():
    assert "In its study it is the verdict's choice. " in card_of(BETTER, "focal")[0]
    assert "In its study it is the baseline. " in card_of(BETTER, "cross_entropy")[0]
    same = SCORES | {"focal": SCORES["cross_entropy"]}
    assert "In its study it is the verdict's choice and the baseline. " in card_of(same, "cross_entropy")[0]
    assert "In its study it is one of the losses compared. " in card_of(same, "focal")[0]


def test_a_card_of_a_pooled_study_says_which_configuration_it_has():
    study = make_pooled()
    results = study.results()
    record = next(r for r in study.confirm if r.configuration == results.of("focal").winner)
    text = model_card(results, record, objective="", link="", takes="")
    assert f"- **Block**: {record.index}, the first and not the best one of the configuration that wins more" in text
    assert "| this model | expected result of its search |" in text
    assert f"| accuracy | {record.test['accuracy']:.4f} | {results.of('focal').scores['accuracy'].mean:.4f} |" in text
