"""The words of the `howdeep` command: its subcommands and their options."""

import argparse

from howdeep import completion

DESCRIPTION = (
    "How deep should a network be? Experiments that answer it: shallow and deep under one fair protocol."
)
EPILOG = """\
examples:
  howdeep train model=lstm data=sunspots model.depth=4 optimizer=rmsprop seed=3
  howdeep train -m model=mlp model.depth=1,2,4,8 seed=0,1,2     every combination, one after the other
  howdeep train debug=smoke                                     does it run at all? (also: overfit, profile)
  howdeep ui                                                    browse all runs in MLflow
  dvc repro                                                     the whole study of params.yaml, report included
"""
MODEL = (
    "an entry such as digits-cnn (its best cell by validation), a run's folder or key, models:/NAME@ALIAS of MLflow, "
    "or a file of howdeep export"
)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="howdeep",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command")

    def add(name: str, help_: str, *, overrides: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        if overrides:
            command.add_argument(
                "overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides, such as data=mnist"
            )
        return command

    init = add("init", "make a project of your own data: howdeep init FOLDER --data FILE")
    init.add_argument("folder", metavar="FOLDER", help="the new project, an empty folder or none yet")
    init.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="a table (CSV, TSV or Parquet), a text (.txt), or a folder of class folders",
    )
    init.add_argument("--target", action="append", default=[], metavar="COLUMN", help="what is to be told")
    init.add_argument(
        "--kind", metavar="KIND", help="table, series, images or text (default: what the data look like)"
    )
    init.add_argument(
        "--group",
        metavar="COLUMN",
        help="all rows with one value of it stay on one side of the split; of series, which of them a row is of",
    )
    init.add_argument("--time", metavar="COLUMN", help="split in time by it; of a series, when each row was")
    init.add_argument("--name", metavar="NAME", help="of the data set (default: that of the file)")
    init.add_argument(
        "--task", metavar="TASK", help="classification or regression (default: what the target looks like)"
    )
    init.add_argument(
        "--missing", default="", metavar="WORDS", help="words that stand for no value, with commas between"
    )
    init.add_argument(
        "--horizon", type=_positive, metavar="N", help="steps ahead that a series is forecast (default: 1)"
    )
    init.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of a series, what is known before the step that is told",
    )
    init.add_argument("--drop-missing-targets", action="store_true", help="leave out rows without a target")
    init.add_argument("--dry-run", action="store_true", help="print what would be made, and make nothing")
    # `train` goes to Hydra whole, which has its own options (-m, --cfg job, --help): see `main`.
    add("train", "train one network, or many with -m: takes Hydra's options and KEY=VALUE overrides")
    add("code", "note which howdeep stages depend on, outside of a clone (the stage code)")
    add("pull", "fetch and verify the files of a data set: howdeep pull data=mnist", overrides=True)
    add(
        "prepare",
        "split and standardise a data set that was pulled: howdeep prepare data=mnist",
        overrides=True,
    )
    add("plan", "compose every cell of params.yaml into plans/ (the stage plan)")
    for name, what in (
        (
            "tune-entry",
            "choose optimizer and learning rate of each depth of one entry of params.yaml (tune@ENTRY)",
        ),
        ("train-entry", "train the missing runs of one entry of params.yaml (the stage train@ENTRY)"),
    ):
        entry = add(name, what)
        entry.add_argument("entry", metavar="ENTRY", help="a key of `entries`, such as digits-mlp")
        entry.add_argument("--workers", type=_positive, metavar="N", help="processes (default: one a core)")
    add("evaluate", "score every run of the study on the test examples (the stage evaluate)")
    add("inspect", "look inside the networks of the study, on validation examples (the stage inspect)")
    for name, what in (
        ("claim", "print a claim of the ledger: what was asked, what was run, the verdict"),
        ("claim-plan", "write the study of a claim and compose its cells (a stage of claims/dvc.yaml)"),
        ("claim-tune", "tune the arms of a claim, if it asks for that (a stage of claims/dvc.yaml)"),
        ("claim-train", "train the missing runs of a claim (a stage of claims/dvc.yaml)"),
        ("claim-judge", "measure the runs of a claim and judge it (a stage of claims/dvc.yaml)"),
    ):
        add(name, what).add_argument("entry", metavar="NAME", help="a file of claims/, such as degradation")
    add("claim-code", "note the sources that claims depend on (a stage of claims/dvc.yaml)")
    add("ledger", "all claims as a table and a page, reports/claims.html (a stage of claims/dvc.yaml)")
    compare = add("compare", "tables, figures and report of the study (the stage compare)")
    compare.add_argument(
        "--against",
        metavar="REVISION",
        help="write nothing, print which scores and verdicts changed since then",
    )
    compare.add_argument(
        "--replicate",
        action="store_true",
        help="run the whole study once more with new seeds, in replication/, and print which verdicts repeat",
    )
    add("report", "rebuild reports/index.html, with seconds where provenance has them")
    sync = add(
        "sync", "bring MLflow in line with the records: add the runs that it lacks, delete those that left"
    )
    sync.add_argument(
        "--take-over", metavar="HOST", help="end the runs that a host which is gone has left RUNNING"
    )
    add(
        "repair",
        "mend what keeps DVC from starting: a dvc.lock that a kill or a full disk has cut short, and the like",
    )
    predict = add("predict", "ask a trained network about new rows: howdeep predict MODEL FILE")
    predict.add_argument("model", metavar="MODEL", help=MODEL)
    predict.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a table, a text, images or folders of them, as in training",
    )
    predict.add_argument(
        "-o", "--output", metavar="FILE", help="a CSV, TSV or Parquet file (default: CSV, to the terminal)"
    )
    predict.add_argument(
        "--ensemble",
        action="store_true",
        help="let the networks of all seeds answer together, with their spread",
    )
    export = add("export", "write a trained network as one file: howdeep export MODEL -o net.onnx")
    export.add_argument("model", metavar="MODEL", help=MODEL)
    export.add_argument(
        "--format", metavar="FORMAT", help="onnx or torch (default: as the file ends, or onnx)"
    )
    export.add_argument("-o", "--output", metavar="FILE", help="default: ENTRY.onnx, or ENTRY.pt2 of torch")
    export.add_argument(
        "--opset",
        type=_positive,
        metavar="N",
        help="of ONNX's operators (default: 18, which most programs read)",
    )
    explain = add("explain", "say what in an example makes a network answer so: howdeep explain MODEL FILE")
    explain.add_argument("model", metavar="MODEL", help=MODEL)
    explain.add_argument("inputs", nargs="+", metavar="INPUT", help="as howdeep predict takes them")
    explain.add_argument(
        "-o", "--output", metavar="FILE", help="default: explained.png of images, or the terminal"
    )
    sample = add("sample", "let a gan or a language model make examples: howdeep sample MODEL -n 16")
    sample.add_argument("model", metavar="MODEL", help=MODEL)
    sample.add_argument("-n", type=_positive, default=16, metavar="N", help="examples (default: 16)")
    sample.add_argument(
        "--seed", type=int, default=0, help="the same one gives the same examples (default: 0)"
    )
    sample.add_argument(
        "--temperature", type=float, default=1.0, help="of a text: below 1 likely characters become likelier"
    )
    sample.add_argument("--length", type=_positive, default=200, help="characters of a text (default: 200)")
    sample.add_argument(
        "--prompt", metavar="TEXT", help="with which a text begins (default: one of the data)"
    )
    sample.add_argument(
        "-o", "--output", metavar="FILE", help="default: sample.png, or the terminal for text"
    )
    serve = add("serve", "answer questions to a trained network over HTTP on 127.0.0.1: howdeep serve MODEL")
    serve.add_argument("model", metavar="MODEL", help=MODEL)
    serve.add_argument("--port", type=_positive, default=8000, help="default: 8000")
    worker = add("worker", "do runs for a scheduler of howdeep on this machine: howdeep worker ADDRESS")
    worker.add_argument(
        "address", metavar="ADDRESS", help="such as tls://host:8786, as `howdeep cluster up` told it"
    )
    worker.add_argument("--threads", type=_positive, metavar="N", help="runs at a time (default: one a core)")
    worker.add_argument("--name", help="of this node, in messages (default: the machine's, and a number)")
    worker.add_argument("--cache", metavar="FOLDER", help="for data sets (default: ~/.cache/howdeep)")
    worker.add_argument("--gpu", action="store_true", help="do runs with trainer=gpu, one at a time")
    worker.add_argument("--security", metavar="FILE", help="that `howdeep cluster up` wrote")
    cluster = add("cluster", "start what sends runs to other machines: howdeep cluster up --local 2")
    cluster.add_argument("what", choices=["up"])
    cluster.add_argument(
        "--local", type=_whole, default=0, metavar="N", help="nodes on this machine (default: 0)"
    )
    cluster.add_argument(
        "--slurm",
        nargs="*",
        metavar="KEY=VALUE",
        help="ask Slurm for nodes: nodes=4 partition=cpu cpus_per_task=16",
    )
    cluster.add_argument(
        "--host",
        default="127.0.0.1",
        help="under which other machines reach this one (default: 127.0.0.1, none)",
    )
    cluster.add_argument("--port", type=_positive, default=8786, help="default: 8786")
    cluster.add_argument(
        "--security",
        metavar="FILE",
        help="written if it is not there (default: security.pem, where there is a --host)",
    )
    add("register", "put the best networks of each entry into MLflow's registry, with model cards")
    complete = add(
        "completion", 'print what lets a shell complete words with Tab: eval "$(howdeep completion bash)"'
    )
    complete.add_argument("shell", choices=completion.SHELLS)
    complete.add_argument("words", nargs="*", help=argparse.SUPPRESS)  # what the shell asks about
    ui = add("ui", "browse the runs with MLflow's UI on 127.0.0.1")
    ui.add_argument("--port", type=_positive, default=5000, help="default: 5000")
    return top


def _whole(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{text}'")
    return int(text)
