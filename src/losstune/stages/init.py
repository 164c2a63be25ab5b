"""``losstune init``: lay out a study in the working directory, for data that it looks at first."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import math
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from ruamel.yaml import YAML

from losstune.config.load import PARAMS_FILE, load_params, parse_params, require_plain_root
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.files import write_atomically
from losstune.core.git import GitError, NoRepositoryError, run_git
from losstune.core.own_code import RESERVED
from losstune.data.survey import MUCH_LARGER, Survey, survey
from losstune.losses.registry import get
from losstune.losses.tools.sets import CONTROL, SCREEN, SETS, losses_of
from losstune.stages.advise import advice_for, like_text
from losstune.stages.fingerprint import SETTINGS
from losstune.stages.layout import BLOCKS, FINGERPRINTS, METRICS, PLOTS, PREPARED, REPORT, RESULTS, TRIALS
from losstune.stages.model_fit import require_model
from losstune.stages.own_checks import check_own
from losstune.stages.plan_rows import fewest_to_decide, total_of
from losstune.stages.study import check_names

DVC_FILE = Path("dvc.yaml")
GIT_IGNORE, DVC_IGNORE = Path(".gitignore"), Path(".dvcignore")
IGNORED = (".losstune/", "mlruns/", "mlflow.db*", "dvc_plots/", "__pycache__/", ".*.part", ".*.part-journal")
"""What neither Git nor DVC looks at: the ledger, MLflow's files, and what a killed writer leaves."""

PIXELS, PIXELS_OF_PRETRAINED = 64, 224
"""The most pixels a side for losstune's own networks, and for torchvision's."""

BUDGET = 1.5
"""The budget that is written, in trainings of a study in which all losses come to the first look that may decide."""

HEADER = "# What this study chose. `losstune params` shows every other key, with its default and its meaning.\n"


def run(folder: Path, path: str, model: str | None, losses: str | None, *, no_scm: bool) -> Iterator[tuple[str, str]]:
    """Look at the data, and write ``params.yaml`` and ``dvc.yaml`` where there are none. Overwrites nothing.

    Args:
        folder: The study's folder, which is the working directory.
        path: The data: a folder, an ``.npz`` file, a table, a data set's name or the user's own loader.
        model: ``model.name``; None chooses one that fits the data.
        losses: Name of a set of losses; None for those that past verdicts advise, or else :data:`SCREEN`.
        no_scm: Whether DVC does without Git, even if there is a Git repository.

    Yields:
        Rows for the terminal: a name and a text.

    Raises:
        LosstuneError: If path, model or losses are wrong, or another project's files are here. Nothing is written then.
    """
    if stage := os.environ.get("DVC_STAGE"):
        raise LosstuneError(f"init: found itself in the DVC stage {stage!r}; expected to be run by hand, once")
    _require_ours(folder)
    names = losses_of(losses or SCREEN)
    found = survey(_as_written(path, folder), most_pixels=_most_pixels(model))
    advice = advice_for(found) if losses is None else None
    losses = losses or SCREEN
    told, why = f"{losses}, {SETS[losses][0]}", ""
    if advice is not None and advice.is_enough:
        names = (*CONTROL, *advice.chosen)
        told, why = f"advised by {like_text(advice)}", f"; `losstune advise {path}` says why"
    values = _values(folder, found, model, names, losses)
    params = _checked(values, found)
    yield "data", f"{path}: {found.facts[0]}"
    yield from (("", fact) for fact in found.facts[1:])
    yield "model", params.model.name
    yield "losses", f"{told}: {', '.join(names)}{why}"
    if "training" in values:
        yield "labels", "losses that take one class for each sample get its likeliest class (training.soft_labels)"
    if found.imbalance >= MUCH_LARGER and losses != "imbalanced":
        yield "classes", "they are unequal: `--losses imbalanced` compares losses made for that, by balanced accuracy"

    is_git = not no_scm and _is_in_git(folder)
    texts = {
        PARAMS_FILE: HEADER + _as_yaml(values),
        DVC_FILE: _pipeline(found, is_dep=_is_tracked(params.data.root, folder, is_git)),
    }
    kept = [name for name in texts if (folder / name).exists()]
    for name, text in texts.items():
        if name not in kept:
            write_atomically(folder / name, text)
    root = _dvc_root(folder)
    is_new = root is None
    if root is None:
        root = folder
        _init_dvc(folder, is_git)
    ignores = [_ignore(root / name) for name in ((GIT_IGNORE, DVC_IGNORE) if is_git else (DVC_IGNORE,))]
    written = [name.name for name in texts if name not in kept]
    written += [path for path, is_changed in ignores if is_changed]
    written += [".dvc"] if is_new else []
    if written:
        yield "wrote", ", ".join(written)
    for name in kept:
        yield from _difference(folder / name, texts[name])
    yield "cost", _cost(load_params(folder / PARAMS_FILE))
    yield from _next(folder, root, params, found, is_git, has_changes=bool(written))


def _require_ours(folder: Path) -> None:
    """Raise if the folder has settings, a pipeline or results of another project."""
    advice = "run `losstune init` in a folder of its own, such as losstune/"
    if (folder / PARAMS_FILE).exists():
        try:
            load_params(folder / PARAMS_FILE)
        except LosstuneError as error:
            reason = str(error).removeprefix(f"{folder / PARAMS_FILE}: ")
            raise LosstuneError(f"{PARAMS_FILE}: exists, and is no study's ({reason}); {advice}") from None
    if (folder / DVC_FILE).exists():
        text = (folder / DVC_FILE).read_text(encoding="utf-8", errors="replace")
        if not re.search(r"cmd: losstune (fingerprint|prepare)\b", text):
            raise LosstuneError(f"{DVC_FILE}: exists, and has other stages than a study; {advice}")
    elif not (folder / PARAMS_FILE).exists():
        # DVC removes what is at the place of an output before it runs the stage.
        for out in (PREPARED, TRIALS, BLOCKS, REPORT, PLOTS, RESULTS, METRICS, FINGERPRINTS):
            if (folder / out).exists():
                raise LosstuneError(f"{out}: exists, and the study would replace it; {advice}")


def _as_written(path: str, folder: Path) -> str:
    """Return a path relative to the study's folder if it lies in it; other paths and names as they are."""
    if not os.path.exists(path):
        return path
    for out in (PREPARED, TRIALS, REPORT):
        if (folder / out).resolve().is_relative_to(Path(path).resolve()):
            raise LosstuneError(f"{path}: the study writes {out} into it; expected the data in a folder of its own")
    inside = os.path.relpath(path, folder)
    return path.rstrip("/") if inside.startswith("..") else Path(inside).as_posix()


def _most_pixels(model: str | None) -> int:
    return PIXELS_OF_PRETRAINED if model is not None and model.startswith(RESERVED) else PIXELS


def _values(
    folder: Path, found: Survey, model: str | None, names: tuple[str, ...], losses: str
) -> dict[str, dict[str, Any] | tuple[str, ...]]:
    """Return the keys that this study chooses."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "study"
    values: dict[str, Any] = {"study": {"name": name[:100]}, "data": found.settings}
    has_features = found.input_shape is not None and len(found.input_shape) == 1
    if model is not None:
        values["model"] = {"name": model}
    elif has_features:
        values["model"] = {"name": "mlp", "width": 64}
    values["losses"] = names
    if found.has_soft_labels and not all(get(loss).soft_targets for loss in names):
        values["training"] = {"soft_labels": "mode_if_needed"}
    if losses == "imbalanced":
        values["tune"] = {"metric": "balanced_accuracy"}
    # In trainings, so that the study is the same on every machine, and no search is paid for in vain.
    needed = fewest_to_decide(parse_params(dict(values) | {"budget": {"trainings": 1}}, source="init"))
    values["budget"] = {"trainings": math.ceil(BUDGET * needed / 100) * 100}
    return values


def _checked(values: Mapping[str, Any], found: Survey) -> Params:
    """Return the settings, if they are valid and the model fits the data as far as it is known."""
    params = parse_params(dict(values), source="init")
    require_plain_root(params.data.root, "PATH", Path())
    try:
        spaces = check_names(params)
        if found.input_shape is not None:
            require_model(params, spaces, found.input_shape, len(found.class_names))
            check_own(params, found.input_shape, len(found.class_names))
    except LosstuneError as error:
        raise LosstuneError(str(error).removeprefix("params.yaml: ").replace("model.name:", "--model:")) from None
    return params


def _as_yaml(values: Mapping[str, Any]) -> str:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump({key: value for key, value in values.items() if key != "losses"}, text)
    losses = textwrap.fill(f"losses: [{', '.join(values['losses'])}]", 100, subsequent_indent="  ")
    return f"{text.getvalue()}{losses}\n"


def _pipeline(found: Survey, *, is_dep: bool) -> str:
    environment = Environment(
        loader=PackageLoader("losstune.stages", "."), undefined=StrictUndefined, keep_trailing_newline=True
    )
    template = environment.get_template("dvc.yaml.j2")
    is_dep = is_dep and "root" in found.settings  # or there is no ${data.root} in params.yaml
    return template.render(stages=list(SETTINGS), has_files=found.has_files, data_is_dep=is_dep)


def _is_in_git(folder: Path) -> bool:
    try:
        run_git(folder, "rev-parse", "--show-toplevel")
    except NoRepositoryError:
        return False
    return True


def _is_tracked(root: str, folder: Path, is_git: bool) -> bool:
    """Return whether Git or DVC tracks the data, so that DVC's copies of the work tree have it."""
    path = Path(os.path.relpath(folder / root, folder))
    if Path(root).is_absolute():
        return False
    if any((folder / f"{above}.dvc").is_file() for above in (path, *path.parents) if above.name not in ("", "..")):
        return True
    with contextlib.suppress(GitError):
        return is_git and bool(run_git(folder, "ls-files", "--", str(path)))
    return False  # outside the repository


def _dvc_root(folder: Path) -> Path | None:
    return next((above for above in (folder, *folder.absolute().parents) if (above / ".dvc").is_dir()), None)


def _init_dvc(folder: Path, is_git: bool) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc.repo.init").setLevel(logging.WARNING)  # else it says what a user of DVC alone does next
    is_below_top = is_git and run_git(folder, "rev-parse", "--show-prefix").strip() != b""
    try:
        repo = Repo.init(str(folder), no_scm=not is_git, subdir=is_below_top)
        with repo, repo.config.edit("repo") as settings:
            settings["core"] |= {"analytics": False, "check_update": False}  # it calls nobody
    except DvcException as error:
        raise LosstuneError(f"dvc init: {in_one_line(error)}") from None


def _ignore(path: Path) -> tuple[str, bool]:
    """Append the lines that an ignore file lacks; return its name and whether it had to change."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    present = {line.strip().strip("/") for line in text.splitlines()}
    lines = [line for line in IGNORED if line.strip("/") not in present]
    if lines:
        start = f"{text.rstrip()}\n" if text.strip() else ""
        write_atomically(path, f"{start}# losstune\n" + "".join(f"{line}\n" for line in lines))
    return path.name, bool(lines)


def _difference(path: Path, text: str) -> Iterator[tuple[str, str]]:
    before = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        before.splitlines(), text.splitlines(), str(path.name), f"{path.name} as init would write it", "", "", 1, ""
    )
    found = list(lines)
    yield (
        "kept",
        f"{path.name}, which {'differs from what init would write:' if found else 'is as init would write it'}",
    )
    yield from (("diff", line) for line in found)


def _cost(params: Params) -> str:
    return (
        f"{total_of([params])} of {params.training.epochs} epochs each; after `losstune prepare`, `losstune cost` "
        "estimates the minutes, and what can be decided"
    )


def _next(
    folder: Path, root: Path, params: Params, found: Survey, is_git: bool, *, has_changes: bool
) -> Iterator[tuple[str, str]]:
    data = params.data.root
    if "root" in found.settings and is_git and not _is_tracked(data, folder, is_git):
        inside = not Path(data).is_absolute() and not os.path.relpath(folder / data, root).startswith("..")
        yield (
            "tracking",
            f"neither Git nor DVC tracks {data}: its content is read from this machine, also in `dvc exp run --temp`"
            + (f"; to version it, `dvc add {data}`, remove dvc.yaml and run init again" if inside else ""),
        )
    commands = []
    if is_git and has_changes:
        here = os.path.relpath(root, folder)
        files = [str(PARAMS_FILE), str(DVC_FILE)]
        files += [os.path.normpath(os.path.join(here, name)) for name in (GIT_IGNORE, DVC_IGNORE, ".dvc")]
        commands = [f"git add {' '.join(files)}", 'git commit -m "A study of losses"']
    for number, command in enumerate([*commands, "dvc repro"]):
        yield "next" if number == 0 else "", command
