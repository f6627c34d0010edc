"""The yardsticks of benchmarks.loops: the raw loop is the same training, and the table has its rows."""

import pytest
import torch
from pytorch_lightning import Callback

from benchmarks import loops, measure, raw
from howdeep.runs.examples import load_split
from howdeep.study import params
from howdeep.training.run import train
from tests.amount import only_in_full


class Last(Callback):
    """The parameters when training has ended, before those of the best epoch take their place."""

    def on_train_end(self, trainer, pl_module):
        net = pl_module.get_submodule("net")
        self.weights = {name: w.clone() for name, w in net.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("model", loops.ENTRIES)
def test_the_raw_loop_ends_with_the_same_losses_and_parameters_bit_for_bit(model, project, compose, tmp_path):
    entry = params.read(project.params).entries[loops.ENTRIES[model]]
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


@only_in_full
@pytest.mark.slow
def test_a_stopped_benchmark_keeps_its_rows_and_goes_on_with_the_others(tmp_path, capsys, monkeypatch):
    short = ["--only", "mlp", "--depths", "2", "1", "--epochs", "2", "--repeats", "1"]
    own, asked = loops.row, []

    def stopped_at_the_second(of, model, depth, *rest):
        asked.append(depth)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return own(of, model, depth, *rest)

    monkeypatch.setattr(loops, "row", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        loops.main([*short, "--results", str(tmp_path)])
    (first,) = measure.written("loops", tmp_path)
    rows = loops.main([*short, "--results", str(tmp_path), "--continue"])
    assert (asked, rows[1], measure.written("loops", tmp_path)) == ([2, 1, 1], first, rows)
    assert [(row["architecture"], row["depth"], row["epochs"]) for row in rows] == [
        ("mlp", 1, 2),
        ("mlp", 2, 2),
    ]
    assert all(row["ours / floor"] > 1 for row in rows)
    assert (tmp_path / "loops.md").read_text().count("\n| mlp | ") == 2
    said = capsys.readouterr().out
    assert ("cores" in said, "Of an earlier start: mlp 2." in said) == (True, True)
    assert "<!-- mlp -->" in (tmp_path / "loops.svg").read_text()


def test_rows_are_read_as_they_were_written_and_hidden_columns_are_in_the_csv_alone(tmp_path):
    rows = [{"what": "a, b", "n": 3, "seconds": 0.1 + 0.2, "spread": 1e-17}]
    text = measure.write("told", rows, tmp_path, above="a machine", hidden=["spread"])
    assert measure.written("told", tmp_path) == rows
    assert (tmp_path / "told.md").read_text() == f"# told\n\n{text}"
    assert ("spread" in text, "| a, b | 3 | 0.30 |" in text) == (False, True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["told.csv", "told.md"]
    assert measure.written("never", tmp_path) == []
