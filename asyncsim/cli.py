"""The command line. Typer at the top and nothing else: what a command needs is imported when it runs.

Exit codes: 0 done; 1 a run failed; 2 bad input, told on stderr without a traceback; 3 the run folder is in use;
130 and 143 ended by SIGINT and SIGTERM, with everything so far kept.

Results go to stdout, everything about them (progress, problems) to stderr, so that a pipe gets only the former. Tables
are drawn with rich on a terminal and are aligned text in a pipe or with NO_COLOR.
"""

import io
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import asyncsim

if TYPE_CHECKING:
    from asyncsim.metrics import Metrics
    from asyncsim.parallel import OnCluster
    from asyncsim.result import Result

# the order of --help: the way through a study, then what is known before and beside a run
IN_ORDER = (
    "demo", "init", "check", "run", "sweep", "resume", "dash", "report", "compare", "export", "replay", "list", "describe",
    "schema", "theory", "advise", "times", "fit", "twin",
)  # fmt: skip


class _InOrder(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: IN_ORDER.index(name) if name in IN_ORDER else len(IN_ORDER))


app = typer.Typer(
    name="asyncsim",
    cls=_InOrder,
    help="Which distributed optimization method reaches the accuracy first, in seconds, on these workers?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="a scenario file (YAML)", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]…", help="changes, as stop.time=100 methods.0.stepsize=0.5", show_default=False),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="a run folder", show_default=False)]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="the run folder to write; runs/<name> unless given")
]
Force = Annotated[bool, typer.Option("--force", help="replace the run folder given with -o")]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="allow names like module:attribute, which run code")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="no progress")]
Processes = Annotated[
    int | None,
    typer.Option(
        "-p",
        "--processes",
        min=1,
        metavar="N",
        show_default=False,
        help="runs played side by side; all cores it may use unless given, once it has run for a second",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--on-cluster",
        metavar="ADDRESS",
        show_default=False,
        help="play the runs on a Ray cluster: HOST:PORT, auto (the one of this machine), local (one of its own)",
    ),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="accept a cluster elsewhere that asks for no token")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="of the live page; a free one unless given")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="whether to open the live page")]
Dash = Annotated[bool, typer.Option("--dash", help="show a live page that follows the run (asyncsim dash)")]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics",
        min=0,
        max=65535,
        metavar="[PORT]",
        show_default=False,
        help="tell Prometheus how the run goes, at 127.0.0.1:PORT/metrics; 9464 where no port is given, 0: a free one",
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asyncsim {asyncsim.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and end")
    ] = False,
) -> None: ...


# ---- running


@app.command()
def demo(output: Output = None, *, force: Force = False, quiet: Quiet = False, processes: Processes = None) -> None:
    """Compare five methods on 100 unequal workers, in under a minute."""
    from asyncsim import study

    folder = _folder("quickstart", output)
    _end(study.demo(folder, force=force, progress=_progress(quiet), processes=processes))


@app.command()
def run(
    file: File,
    changes: Changes = None,
    *,
    output: Output = None,
    force: Force = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
    processes: Processes = None,
    cluster: Cluster = None,
    insecure: Insecure = False,
    dash: Dash = False,
    browser: Browser = True,
    metrics: MetricsPort = None,
) -> None:
    """Run a scenario: table, one sentence, a report."""
    from asyncsim import study
    from asyncsim.scenario import load

    scenario = load(file, changes or (), allow_code=allow_code)
    folder = _folder(scenario.name, output)
    tell = None if quiet else _say
    with _metrics(metrics) as endpoint, _dash(dash, folder, browser):
        result = study.run(
            scenario, output=folder, force=force, progress=_progress(quiet), processes=_where(processes, cluster, insecure), tell=tell,
            metrics=endpoint, events=False,
        )  # fmt: skip
    _end(result)


@app.command()
def sweep(
    file: File,
    changes: Changes = None,
    *,
    output: Output = None,
    force: Force = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
    processes: Processes = None,
    cluster: Cluster = None,
    insecure: Insecure = False,
    dash: Dash = False,
    browser: Browser = True,
    metrics: MetricsPort = None,
) -> None:
    """Tune each method as `sweep:` says, then compare the winners."""
    from asyncsim import sweep
    from asyncsim.scenario import load

    scenario = load(file, changes or (), allow_code=allow_code)
    folder = _folder(scenario.name, output)
    with _metrics(metrics) as endpoint, _dash(dash, folder, browser):
        result = sweep.tune(
            scenario, output=folder, force=force, progress=_progress(quiet), processes=_where(processes, cluster, insecure), metrics=endpoint,
            events=False,
        )  # fmt: skip
    _end(result)


@app.command()
def resume(
    folder: Folder,
    *,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
    processes: Processes = None,
    cluster: Cluster = None,
    insecure: Insecure = False,
    dash: Dash = False,
    browser: Browser = True,
    metrics: MetricsPort = None,
) -> None:
    """Go on with a run that was interrupted or killed."""
    from asyncsim import study

    with _metrics(metrics) as endpoint, _dash(dash, folder, browser):
        result = study.resume(
            folder, allow_code=allow_code, progress=_progress(quiet), processes=_where(processes, cluster, insecure), metrics=endpoint,
            events=False,
        )  # fmt: skip
    _end(result)


def _where(processes: int | None, cluster: str | None, insecure: bool) -> "int | OnCluster | None":
    """By whom the runs are played."""
    if cluster is None:
        if insecure:
            raise ValueError("--insecure is about a cluster: give --on-cluster ADDRESS too")
        return processes
    from asyncsim.parallel import OnCluster

    return OnCluster(cluster, processes, insecure)


def _dash(wanted: bool, folder: Path, browser: bool) -> AbstractContextManager[None]:
    """The live page beside a run, where it is wanted."""
    if not wanted:
        return nullcontext()
    from asyncsim.dash import beside

    return beside(folder, browser=browser)


def _metrics(port: int | None) -> "AbstractContextManager[Metrics | None]":
    """The metrics endpoint of a run, where it is wanted."""
    if port is None:
        return nullcontext()
    from asyncsim.metrics import Metrics

    endpoint = Metrics(port)
    _say(f"metrics: {endpoint.address}")
    return endpoint


def _progress(quiet: bool) -> bool | None:
    return False if quiet else None  # None: where there is a terminal


def _folder(name: str, output: Path | None) -> Path:
    """Where a run is written: as said, else the first of runs/<name>, runs/<name>-2, … that is free."""
    if output is not None:
        return output
    from asyncsim.folder import slug

    first = Path("runs") / slug(name)
    tried, number = first, 1
    while os.path.lexists(tried):
        number += 1
        tried = first.with_name(f"{first.name}-{number}")
    return tried


def _end(result: "Result") -> None:
    """Show what came out, write the report, and end with the right code."""
    from asyncsim import summary

    _tuned(result)
    if result.runs:
        _table(*summary.table(result))
        typer.echo()
        typer.echo(result.sentence())
        for words in summary.effort(result):
            typer.echo(words)
    for problem in result.manifest.get("warnings", []):
        _say(f"note: {problem}")
    if result.runs:
        typer.echo(f"report: {result.report()}")
    from asyncsim import bounds

    for broken in bounds.breaches(result):
        _say(f"BOUND BROKEN: {broken}")
    for failed in [run for run in result.runs if run.status == "failed"]:
        _say(f"{failed.label}, seed {failed.seed}, failed: {failed.reason}")
    if result.manifest.get("status") == "interrupted":
        _say(f"interrupted; `asyncsim resume {_typed(result.folder)}` goes on")
        raise typer.Exit(128 + int(result.manifest.get("signal") or 2))
    if any(run.status == "failed" for run in result.runs):
        raise typer.Exit(1)


def _tuned(result: "Result") -> None:
    """What a sweep has chosen."""
    if not result.manifest.get("tuning"):
        return
    from asyncsim import sweep

    _table(*sweep.table(result))
    typer.echo()
    for problem in result.manifest.get("tuning_warnings", []):
        _say(f"note: {problem}")


# ---- before and after running


@app.command()
def check(file: File, changes: Changes = None, allow_code: AllowCode = False) -> None:
    """Say all that is wrong with a scenario, without running it."""
    from asyncsim import study
    from asyncsim.scenario import load
    from asyncsim.summary import counted

    scenario = load(file, changes or (), allow_code=allow_code)
    problem = scenario.check_problem()
    methods = study.checked_methods(scenario, problem)
    typer.echo(
        f"{file}: good. {scenario.name}: {counted(scenario.build_workers().n, 'worker')}, "
        f"{counted(len(scenario.seeds), 'seed')}"
    )
    for label, method in methods:
        typer.echo(f"  {label}: {method!r}")
    if scenario.sweep is not None:
        from asyncsim import sweep

        choices, seeds = sweep.choices_of(scenario, problem), sweep.tuning_seeds(scenario)
        runs = len(choices) * len(seeds)
        typer.echo(
            f"  sweep: {counted(len(choices), 'choice')} × {counted(len(seeds), 'tuning seed')} = {counted(runs, 'tuning run')}"
        )


@app.command()
def theory(
    file: File,
    changes: Changes = None,
    *,
    every_method: Annotated[bool, typer.Option("--all", help="all methods there are, not only the scenario's")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Say what theory knows before a run: parameters, times, bounds."""
    from asyncsim.scenario import load
    from asyncsim.theory.overview import overview

    found = overview(load(file, changes or (), allow_code=allow_code), every_method)
    for line in found.known:
        typer.echo(line)
    typer.echo()
    _table(found.headers, found.cells)
    typer.echo(f"\n{found.sentence}\n")
    for note in found.notes:
        typer.echo(f"- {note}")


@app.command()
def times(
    file: File,
    changes: Changes = None,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="a page with histograms to write, page.html")
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Show the workers' times before a run: quantiles, rates."""
    from itertools import pairwise

    from asyncsim.problems.problem import message_size
    from asyncsim.scenario import load
    from asyncsim.times.overview import HEADERS, overview

    scenario = load(file, changes or (), allow_code=allow_code)
    groups = [range(first, end) for first, end in pairwise(scenario.workers.starts)]
    workers = scenario.build_workers()
    # only where a message takes longer the more it holds does the problem matter, which may be long to build
    sized = workers.message_seconds(1) is not None
    seen = overview(workers, groups, message_size(scenario.build_problem(scenario.seeds[0])) if sized else 0)
    _table(HEADERS, [row.cells() for row in seen.rows])
    typer.echo()
    for words in seen.words():
        typer.echo(words)
    if output is not None:
        from asyncsim.report import write_times

        typer.echo(f"page: {write_times(scenario.name, seen, output)}")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="the file to write")] = Path("scenario.yaml"),
    source: Annotated[
        str, typer.Option("--from", metavar="NAME", help="which one: asyncsim list starters")
    ] = "starter",
) -> None:
    """Write a commented scenario to start from."""
    from asyncsim.catalogue import registry
    from asyncsim.yaml_file import did_you_mean

    known = registry("starters")
    if source not in known:
        raise ValueError(f"no starter is called {source!r}; there are {', '.join(known)}{did_you_mean(source, known)}")
    if path.is_dir():
        path = path / "scenario.yaml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(known[source].read_text(encoding="utf-8"))
    except FileExistsError:
        raise ValueError(f"{path} is there already; give another path, as in `asyncsim init mine.yaml`") from None
    typer.echo(f"{path} is written; next: asyncsim run {_typed(path)}")


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]", help="methods, laws, problems, speeds, … ; all unless given", show_default=False
        ),
    ] = None,
) -> None:
    """List what a scenario can name."""
    from asyncsim.catalogue import KINDS, listed
    from asyncsim.yaml_file import did_you_mean

    if kind is not None and kind not in KINDS:
        raise ValueError(f"there is no list of {kind!r}; there are {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    for number, shown in enumerate([kind] if kind else KINDS):
        if kind is None:
            typer.echo(f"{'' if number == 0 else chr(10)}{shown}:")
        rows = listed(shown)
        width = max((len(name) for name, _ in rows), default=0)
        for name, words in rows:
            typer.echo(f"  {name:<{width}}  {words}")


@app.command()
def describe(name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)]) -> None:
    """Show a method, law, problem …: what it is, parameters, source."""
    from asyncsim.catalogue import describe

    for number, about in enumerate(describe(name)):
        article = "an" if about.kind[0] in "aeiou" else "a"
        typer.echo(f"{chr(10) * min(number, 1)}{about.name} ({article} {about.kind})\n\n{about.text}\n")
        if about.parameters:
            typer.echo("Parameters:")
        for parameter, allowed, default, meaning in about.parameters:
            given = f"default {default}" if default else "must be given"
            typer.echo(f"  {parameter}: {allowed}; {given}")
            if meaning:
                typer.echo(textwrap.fill(meaning, 112, initial_indent=" " * 6, subsequent_indent=" " * 6))
        typer.echo(f"\nIn a scenario: {about.example}\nIn Python: {about.where}")


@app.command()
def report(
    folder: Folder,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PATH", help="DIR/report.html, or DIR/figures, unless given"),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            "--figures",
            metavar="pdf|svg",
            help="figures for a paper, one column wide, in place of the page",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a run folder's report again, or figures for a paper."""
    from asyncsim.result import Result

    result = Result.read(folder, events=False)
    if figures is None:
        typer.echo(result.report(output))
        return
    for path in result.figures(output or folder / "figures", figures):
        typer.echo(path)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR…", help="run folders", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="a report of all of them to write")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="compare runs on different problems too")] = False,
) -> None:
    """Show several run folders in one table and one report."""
    from asyncsim import summary
    from asyncsim.beside import beside
    from asyncsim.result import Result

    result = beside([Result.read(folder, events=False) for folder in folders], different_problems=anyway)
    _table(*summary.table(result))
    typer.echo()
    typer.echo(result.sentence())
    for words in result.manifest["differences"]:
        typer.echo(f"- {words}")
    if output is not None:
        typer.echo(f"report: {result.report(output)}")


@app.command()
def dash(
    folder: Folder,
    *,
    port: Port = 0,
    browser: Browser = True,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Show a run's report on a live page that follows it. Ctrl-C ends."""
    from asyncsim import dash

    dash.serve(folder, port, browser=browser, with_parent=with_parent)


@app.command()
def export(
    folder: Folder,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="csv|npz|trace|parquet|chrome-trace|tensorboard|mlflow|wandb",
            help="tables (csv, npz, parquet), traces to play back, a timeline for Perfetto, or a tracker's own files",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PATH", help="DIR/<format>, DIR/arrays.npz, DIR/chrome-trace.json unless given"
        ),
    ] = None,
) -> None:
    """Write a run folder's curves, delays, counts for other programs."""
    from asyncsim.export import PLACES
    from asyncsim.result import Result
    from asyncsim.yaml_file import did_you_mean

    if to not in PLACES:
        raise ValueError(f"--to {to} is not known; allowed: {', '.join(PLACES)}{did_you_mean(to, PLACES)}")
    typer.echo(Result.read(folder, events=False).export(output or folder / PLACES[to], to))


@app.command()
def fit(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="measured times, CSV or JSONL", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="a scenario to write, with the fitted laws")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="a page to write: laws beside the measured times")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="auto|worker|device|all", help="who shares a law; auto: who looks alike")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="replace files that are there")] = False,
) -> None:
    """Fit laws to measured times, and write a scenario with them."""
    from asyncsim import fitting

    for path in (output, picture):
        if path is not None and os.path.lexists(path) and not force:
            raise ValueError(f"{path} is there already; give another path, or --force")
    found = fitting.fit(trace, by)  # type: ignore[arg-type]
    _table(*found.table())
    for warning in found.warnings:
        _say(f"note: {warning}")
    if output is not None:
        output.write_text(found.scenario(output.parent), encoding="utf-8")
        typer.echo(f"{output} is written; next: asyncsim run {_typed(output)}")
    if picture is not None:
        typer.echo(f"picture: {found.picture(picture)}")


@app.command()
def advise(
    workers: Annotated[
        str,
        typer.Option(
            "--workers",
            "-w",
            metavar="COUNTxSECONDS …",
            show_default=False,
            help="machines by kind, with the seconds each takes for a minibatch gradient: '8x0.12 4x0.35 1x2.0'; "
            "for heavy tails the median and ~lognormal(SIGMA), ~pareto(SHAPE) or ~hangs(PART): '8x0.12~hangs(0.02)'",
        ),
    ] = "",
    communication: Annotated[
        str,
        typer.Option(
            "--communication",
            metavar="SECONDS",
            help="of a message there and back; one number, or by kind: '8x0.05 4x0.2 1x0.2'",
        ),
    ] = "0",
    jitter: Annotated[
        float, typer.Option("--jitter", help="standard deviation of a gradient's time over its mean")
    ] = 0.1,
    average: Annotated[
        int | None,
        typer.Option(
            "--gradients-to-average",
            metavar="N",
            show_default=False,
            help="how many minibatch gradients, averaged, make a step about as good as the exact gradient near the end (the "
            "critical batch size, in minibatches); 16 is assumed and others tried unless given",
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            "--price",
            metavar="PRICE",
            help="of a machine and hour; one number, or by kind: '8x2.5 4x0.9 1x0.2'",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", help="that one machine alone needs; makes hours of ratios", show_default=False
        ),
    ] = None,
    target: Annotated[
        float, typer.Option("--target", help="to what part of its first value the squared gradient norm is to fall")
    ] = 1e-4,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="same|different",
            help="whether all machines draw from the same data, or each has data of its own",
        ),
    ] = "same",
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="measured times in place of --workers", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="the folder to write; runs/advice unless given")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the advice in the folder given with -o")] = False,
    quiet: Quiet = False,
) -> None:
    """Say which method suits your machines, and what each kind brings."""
    from asyncsim import advise as asking
    from asyncsim.report import advice as words

    kind: Any = data  # what it may be is told with the other mistakes
    if trace is not None:
        question = asking.asked_of_trace(
            trace, workers, price=price, average=average, steps=steps, target=target, data=kind
        )
    else:
        question = asking.asked(
            workers,
            communication=communication,
            price=price,
            jitter=jitter,
            average=average,
            steps=steps,
            target=target,
            data=kind,
        )
    for note in question.notes:
        _say(f"note: {note}")
    folder = _folder("advice", output)
    asking.check_free(folder, force)
    found = asking.advise(question, lambda said: None if quiet or not sys.stderr.isatty() else _say(f"  {said} …"))
    typer.echo(f"{words.text(found)}\n")
    _table(*words.methods_table(found))
    typer.echo()
    _table(*words.kinds_table(found))
    typer.echo()
    for path in asking.write(found, folder):
        typer.echo(f"{path.stem}: {path}")


# ---- real workers and the simulation of them


Seeds = Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="seeds of the simulation")]


@app.command()
def replay(
    folder: Folder,
    *,
    fitted: Annotated[
        bool, typer.Option("--fitted/--exact", help="simulate with laws fitted to what was measured; or event by event")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="check at every event what the papers promise")] = False,
    seeds: Seeds = 10,
    output: Output = None,
    force: Force = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
    processes: Processes = None,
) -> None:
    """Play a run on real workers again, or with fitted laws."""
    from asyncsim import replay as replays
    from asyncsim import twin as twins

    if not fitted:
        where = _folder(f"{folder.resolve().name}-replay", output)
        result = replays.exact(folder, where, force=force, allow_code=allow_code, verify=verify)
        for same in result.manifest["replay"]:
            typer.echo(replays.in_words(same))
        typer.echo()
    else:
        where = _folder(f"{folder.resolve().name}-fitted", output)
        result = twins.what_if(
            folder, where, seeds=seeds, anew=False,
            force=force, allow_code=allow_code, progress=_progress(quiet), processes=processes,
        )  # fmt: skip
    _end(result)


@app.command()
def twin(
    source: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="a scenario, or what was run on Ray", show_default=False)
    ],
    changes: Changes = None,
    *,
    workers: Annotated[
        str | None,
        typer.Option("--workers", metavar="x10|N", help="what if: each fitted worker ten times, or N in all"),
    ] = None,
    without_slowest: Annotated[
        int, typer.Option("--without-slowest", min=0, metavar="K", help="what if: the K slowest workers are left out")
    ] = 0,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME|{…}",
            help="what if: this one in place of those that were run; again for more; what it needs comes from theory",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT|auto|local", help="of the Ray cluster")
    ] = None,
    seeds: Seeds = 10,
    output: Output = None,
    force: Force = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
    processes: Processes = None,
) -> None:
    """Run on Ray, fit laws, simulate, compare; or simulate what if."""
    from asyncsim import twin as twins

    common: dict[str, Any] = {
        "seeds": seeds, "force": force, "allow_code": allow_code, "progress": _progress(quiet), "processes": processes,
    }  # fmt: skip
    if workers is not None or without_slowest or method or (changes and source.is_dir()):
        if not source.is_dir():
            raise ValueError(
                f"{source}: what if asks for workers that were measured; first `asyncsim twin {source} -o DIR`, then give DIR"
            )
        where = _folder(f"{source.resolve().name}-what-if", output)
        common |= {"workers": workers, "without_slowest": without_slowest, "methods": method or ()}
        imagined = twins.what_if(source, where, overrides=changes or (), **common)
        typer.echo(f"as it was measured: {twins.as_measured(source)}\n")
        _end(imagined)
        return
    where = _folder(f"{source.resolve().stem}-twin", output)
    if not source.is_dir():
        measured = twins.measure(
            source, where, address=address, overrides=changes or (),
            force=force, allow_code=allow_code, progress=_progress(quiet),
        )  # fmt: skip
        if measured.manifest["status"] != "finished":
            _end(measured)
        source = where
    found = twins.twin(source, where, **common)
    _table(*found.table())
    typer.echo()
    typer.echo(found.sentence())
    for warning in found.warnings:
        _say(f"note: {warning}")
    typer.echo(f"report: {where / 'twin.html'}")


@app.command()
def schema() -> None:
    """Print the JSON schema of scenarios, for completion in editors."""
    import json

    from asyncsim.scenario import schema

    typer.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


# ---- tables


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table with one row a method; on its side, or at last as lists, where the terminal is too narrow for it."""
    plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    width = sys.maxsize if plain else _terminal_width()
    upright, sideways = [headers, *rows], list(zip(headers, *rows, strict=True))
    fitting = next((form for form in (upright, sideways) if _width(form) <= width), None)
    if fitting is None:
        for row in rows:
            typer.echo("".join(f"{name}: {value}\n" for name, value in zip(headers, row, strict=True)))
    elif plain:
        for line in _aligned(fitting):
            typer.echo(line)
    else:
        _draw(fitting)


def _draw(cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(cells[0]):
        table.add_column(Text(header), justify="left" if number == 0 else "right", no_wrap=True)
    for row in cells[1:]:
        table.add_row(*map(Text, row))  # Text: a label with [brackets] is no markup
    Console().print(table)


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(rows: Sequence[Sequence[str]]) -> int:
    return sum(width + 2 for width in _widths(rows))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = _widths(rows)
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([first.lstrip().ljust(widths[0]), *others]).rstrip()


def _typed(path: Path | None) -> str:
    """A path as a shell takes it, spaces and all."""
    import shlex

    return shlex.quote(str(path))


# ---- errors


def _say(text: str) -> None:
    typer.echo(text, err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: runs a command and ends the process with its code (see the head of this file)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding without ‖∇f‖² or − must not end a run
    sys.exit(_code(arguments))


def _code(arguments: Sequence[str] | None) -> int:
    # the classes of errors are looked up by name, as importing them would load what --help does without
    try:
        return app(args=_with_port(sys.argv[1:] if arguments is None else arguments), standalone_mode=False) or 0
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        return code


def _with_port(arguments: Sequence[str]) -> list[str]:
    """An option's value cannot be left out in typer: `--metrics` alone means the usual port.

    >>> _with_port(["run", "a.yaml", "--metrics", "seeds=0..3"])
    ['run', 'a.yaml', '--metrics', '9464', 'seeds=0..3']
    """
    following = [*arguments[1:], ""]
    return [
        word
        for argument, after in zip(arguments, following, strict=True)
        for word in (
            [argument, "9464"] if argument == "--metrics" and not after.lstrip("-").isdecimal() else [argument]
        )
    ]


def _code_of(error: Exception) -> int | None:
    """The exit code of a mistake of the user's, after telling it; None for a mistake of ours."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if hasattr(error, "format_message") and hasattr(error, "show"):  # wrong use of the command line
        error.show()
        return int(getattr(error, "exit_code", 2))
    if "FolderInUse" in names:
        _say(str(error))
        return 3
    if isinstance(error, OSError):
        _say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 2
    if isinstance(error, ValueError | ImportError) or "FolderError" in names:
        _say(str(error))
        return 2
    if isinstance(error, MemoryError):
        _say(f"this machine has not enough memory: {error}" if str(error) else "this machine has not enough memory")
        return 2
    return None


if __name__ == "__main__":
    main()
