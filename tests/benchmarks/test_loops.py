"""The yardsticks of benchmarks.loops: the raw loop is the same training, and the table has its rows."""

import csv

import pytest
import torch
from pytorch_lightning import Callback

from benchmarks import loops, raw
from howdeep.prepare import load_split
from howdeep.training.run import train


class Last(Callback):
    """The parameters when training has ended, before those of the best epoch take their place."""

    def on_train_end(self, trainer, pl_module):
        net = pl_module.get_submodule("net")
        self.weights = {name: w.clone() for name, w in net.state_dict().items()}


@pytest.mark.parametrize("model", loops.ENTRIES)
def test_the_raw_loop_ends_with_the_same_losses_and_parameters_bit_for_bit(model, project, compose, tmp_path):
    entry = loops.study.read(project.params).entries[loops.ENTRIES[model]]
    groups = (f"data={entry.data}", f"model={entry.model}", f"task={entry.task}")
    cfg = compose(*groups, "model.depth=2", "model.dropout=0.1", *entry.overrides, "trainer.max_epochs=2")
    split, last = load_split(cfg, project), Last()
    outcome = train(cfg, split, resume_point=tmp_path / "resume.ckpt", identity={}, callbacks=[last])
    net, losses = raw.train(cfg, split)
    assert last.weights.keys() == net.state_dict().keys()
    assert all(torch.equal(last.weights[name], w) for name, w in net.state_dict().items())
    for (seen, unseen), row in zip(losses, outcome.history.epochs, strict=True):
        assert seen == pytest.approx(row["train/loss"], rel=1e-6)
        assert unseen == pytest.approx(row["val/loss"], rel=1e-5, abs=1e-9)


@pytest.mark.slow
def test_the_table_has_a_row_a_case_and_the_plot_a_panel_an_architecture(tmp_path, capsys):
    short = ["--only", "mlp", "--depths", "1", "2", "--epochs", "2", "--repeats", "1"]
    loops.main([*short, "--results", str(tmp_path)])
    rows = list(csv.DictReader((tmp_path / "loops.csv").read_text().splitlines()))
    told = [(row["architecture"], row["depth"], row["epochs"]) for row in rows]
    assert told == [("mlp", "1", "2"), ("mlp", "2", "2")]
    assert all(float(row["ours / floor"]) > 1 for row in rows)
    assert (tmp_path / "loops.md").read_text().count("\n| mlp | ") == 2
    assert "cores" in capsys.readouterr().out
    assert "<!-- mlp -->" in (tmp_path / "loops.svg").read_text()
