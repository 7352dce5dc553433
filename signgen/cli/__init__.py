"""The command line: one module per command; each parses, calls, prints. Imports no torch."""

from __future__ import annotations

import typer

from signgen import __version__
from signgen.cli import (
    build_pairs,
    compare,
    demo,
    evaluate,
    evaluate_fusion,
    evaluate_images,
    evaluate_model,
    evaluate_reading,
    evaluate_text,
    export,
    info,
    render,
    render_set,
    robustness,
    study,
    synthesize,
    train,
    train_posenet,
    verify,
    weights,
)
from signgen.cli.common import help_of, run
from signgen.cli.poses import commands as poses

app = typer.Typer(
    name="signgen",
    help="Photo-realistic signers from keypoints: video and poses in, a trained two-stage model, mp4 and metrics out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"signgen {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    pass


COMMANDS = (
    # data
    ("verify", verify.verify),
    ("build-pairs", build_pairs.build_pairs),
    ("synthesize", synthesize.synthesize),
    # model
    ("train", train.train),
    ("train-posenet", train_posenet.train_posenet),
    ("render", render.render),
    ("render-set", render_set.render_set),
    ("info", info.info),
    ("export", export.export),
    # numbers
    ("evaluate", evaluate.evaluate),
    ("evaluate-images", evaluate_images.evaluate_images),
    ("evaluate-model", evaluate_model.evaluate_model),
    ("evaluate-fusion", evaluate_fusion.evaluate_fusion),
    ("evaluate-reading", evaluate_reading.evaluate_reading),
    ("evaluate-text", evaluate_text.evaluate_text),
    ("robustness", robustness.robustness),
    ("compare", compare.compare),
    # all of it
    ("demo", demo.demo),
)
MOVED = {"evaluate": evaluate.MOVED}  # command -> options that another command has now

for _name, _command in COMMANDS:
    app.command(_name, help=help_of(_command), no_args_is_help=True)(_command)
app.add_typer(poses.app)
app.add_typer(study.app)
app.add_typer(weights.app)


def main() -> None:
    """Entry point: runs the command; bad input becomes one line on stderr and exit code 2."""
    run(app, MOVED)
