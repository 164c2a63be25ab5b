"""The entry point of the command line. Commands import their libraries when they run, so ``--help`` is quick."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click

from losstune import __version__
from losstune.cli import advice, compare, losses, pack, settings, study, tracking
from losstune.cli.output import MAX_COLUMNS, InOrder
from losstune.core import process_exit
from losstune.core.errors import LosstuneError, UnfinishedStudyError, printable
from losstune.core.library_logging import configure_environment

EXIT_UNFINISHED, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_COLUMNS})
@click.version_option(__version__, prog_name="losstune")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Which loss should I train this classifier with, and how sure are we?

    A study is a folder with params.yaml and dvc.yaml. In it, `dvc repro` runs the stages that are out of date:
    prepare, features, tune, confirm, report. You can also run a stage by its name. Finished trainings are kept, so
    you can interrupt a stage at any time and run it again.

    \b
    Exit codes:
      0    done
      1    unfinished: some trainings are missing; run the stage again
      2    an error in settings, data or command: a one-line message on stderr
      130  interrupted; finished trainings are kept
    """  # noqa: D301  (click wants the backspace itself)


for command in (
    settings.init,
    settings.params,
    advice.advise,
    study.check,
    study.cost,
    study.prepare,
    study.features,
    study.tune,
    study.confirm,
    study.report,
    settings.fingerprint,
    study.study,
    compare.across,
    advice.advice,
    tracking.promote,
    losses.losses,
    pack.pack,
    tracking.track,
    tracking.ui,
    compare.compare,
    compare.log,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code.

    0: done. 1: a study is unfinished. 2: a user error, printed as one line. 130: interrupted. With ``--debug`` an
    error ends in its traceback and code 1.
    """
    if arguments is None:  # else the process belongs to another program
        process_exit.prepare()
    configure_environment()
    given = sys.argv[1:] if arguments is None else arguments
    code = 0
    try:
        cli.main(args=given, prog_name="losstune", standalone_mode=False)
    except getattr(
        click.exceptions, "NoArgsIsHelpError", ()
    ) as error:  # help is no error; click 8.1 shows it without an exception
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        more = f"; `{context.command_path} --help` shows the usage" if context is not None else ""
        click.echo(f"losstune: {printable(error.format_message().rstrip('.'))}{more}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):  # click turns the first into the second
        click.echo("interrupted; finished trainings are kept, and the same command continues from there", err=True)
        code = EXIT_INTERRUPTED
    except (LosstuneError, UnfinishedStudyError) as error:
        if "--debug" in given:
            raise
        click.echo(f"losstune: {printable(str(error))}", err=True)
        code = EXIT_MISTAKE if isinstance(error, LosstuneError) else EXIT_UNFINISHED
    except OSError as error:
        # A full or read-only disk is a user error, no matter where it appears.
        if "--debug" in given:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        more = "; finished trainings are kept: fix this and run again" * (error.errno in DISK_ERRORS)
        click.echo(f"losstune: {printable(f'{place}{error.strerror or error}')}{more}", err=True)
        code = EXIT_MISTAKE
    if arguments is None:
        process_exit.leave_with(code)
    if code:
        sys.exit(code)
