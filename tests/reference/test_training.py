"""Training: the forward pass is Hugging Face's, the loss falls, a kill loses little."""

import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
import torch
from tests.forked import Template

from ttc_bench.errors import TrainingError
from ttc_bench.reference.batches import IGNORE, PLACES, ROWS, WIDTHS, Batch, batches
from ttc_bench.reference.losses import language_loss
from ttc_bench.reference.network import (
    can_fuse,
    dropout_rates,
    export,
    hidden_states,
    new_model,
)
from ttc_bench.reference.recipe import DataParams, ModelParams, TrainParams
from ttc_bench.reference.training import Progress, rate, train

TASK = """
import pickle, sys
from pathlib import Path
pickle.loads(Path(sys.argv[1]).read_bytes())()
"""
"""What a process does that can be killed."""

SIZE = ModelParams(layers=4, width=32, heads=2, inner=64)
DATA = DataParams(levels={"easy": 1.0}, pool=128)
"""Of pools that take a tenth of a second to make: most tests want three steps' worth."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def params(**more: Any) -> TrainParams:
    given = {
        "batch_tokens": 1024,
        "parts": 2,
        "workers": 1,
        "max_minutes": 10_000.0,
        "warmup": 0.0,
        "matrix_lr": 0.01,
        "other_lr": 0.01,
        **more,
    }
    return TrainParams.model_validate(given)


def run(tokenizer: Any, folder: Path, steps: int, **more: Any) -> tuple[Any, Progress]:
    model = new_model(SIZE, tokenizer, 0)
    wanted = params(**more)
    feed = partial(batches, tokenizer, DATA)
    return model, train(model, wanted, feed, folder, max_steps=steps)


def test_forward_is_the_one_of_hugging_face(tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0).eval()
    inputs = torch.randint(5, 400, (2, 50))
    with torch.no_grad():
        theirs = model.model(inputs, output_hidden_states=True)
        ours = hidden_states(model.model, inputs, taps=(2,))
    assert torch.allclose(ours[0], theirs.last_hidden_state, atol=1e-5)
    assert torch.allclose(ours[2], model.model.norm(theirs.hidden_states[2]), atol=1e-5)


@pytest.mark.skipif(not can_fuse(), reason="no C++ compiler here")
def test_fused_layers_compute_the_same(tiny_tokenizer: Any) -> None:
    results = {}
    # One layer is compiled for all: how many and how wide they are only costs time.
    small = ModelParams(layers=3, width=16, heads=1, inner=16)
    for fused in (False, True):
        model = new_model(small, tiny_tokenizer, 0)
        inputs = torch.randint(5, 400, (2, 50), generator=torch.Generator().manual_seed(0))
        states = hidden_states(model.model, inputs, skip={1}, taps=(2,), fused=fused)
        (states[0].square().sum() + states[2].sum()).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        results[fused] = [states[0], states[2], *grads]
    assert len(results[False]) == len(results[True]) > 20
    for plain, fused_one in zip(results[False], results[True], strict=True):
        assert torch.allclose(plain, fused_one, rtol=1e-3, atol=1e-4)


def test_without_a_compiler_training_says_so_and_goes_on(
    tiny_tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    _, progress = run(tiny_tokenizer, tmp_path, 1, fused=True)
    assert progress.step == 1
    assert [r.message for r in caplog.records if "no C++ compiler" in r.message]


def test_padding_on_the_right_changes_nothing(tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0).eval()
    inputs = torch.randint(5, 400, (1, 30))
    padded = torch.cat([inputs, torch.zeros(1, 7, dtype=torch.long)], 1)
    with torch.no_grad():
        short = hidden_states(model.model, inputs)[0]
        long = hidden_states(model.model, padded)[0]
    assert torch.allclose(short, long[:, :30], atol=1e-5)


def test_skipped_layers_do_not_run(tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0).eval()
    inputs = torch.randint(5, 400, (1, 30))
    with torch.no_grad():
        cut = hidden_states(model.model, inputs, skip={2, 3})[0]
        tap = hidden_states(model.model, inputs, taps=(2,))[2]
    assert torch.equal(cut, tap)


def test_smoke_training_lowers_the_loss(tiny_tokenizer: Any, tmp_path: Path) -> None:
    _, progress = run(
        tiny_tokenizer,
        tmp_path,
        60,
        layer_dropout=0.1,
        exit_weight=0.2,
        exits=(1, 2, 3),
    )
    assert progress.step == 60
    assert progress.curve[-1]["loss"] < progress.curve[0]["loss"] - 0.5


def test_resumes_where_it_stopped(tiny_tokenizer: Any, tmp_path: Path) -> None:
    first, _ = run(tiny_tokenizer, tmp_path, 3)
    second, progress = run(tiny_tokenizer, tmp_path, 5)
    assert progress.step == 5
    assert progress.elapsed > 0
    third, unchanged = run(tiny_tokenizer, tmp_path, 5)
    assert unchanged.step == 5
    last = [m.model.embed_tokens.weight for m in (first, second, third)]
    assert torch.equal(last[1], last[2])
    assert not torch.equal(last[0], last[1])


def test_a_kill_while_saving_leaves_the_last_checkpoint(
    tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_tokenizer, tmp_path, 2)
    save = torch.save

    def killed(state: Any, path: Path) -> None:
        save({}, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_tokenizer, tmp_path, 3)
    monkeypatch.undo()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"] == 2


def test_two_workers_do_what_one_does(tiny_tokenizer: Any, tmp_path: Path) -> None:
    alone, _ = run(tiny_tokenizer, tmp_path / "one", 3)
    team, progress = run(tiny_tokenizer, tmp_path / "two", 3, workers=2)
    assert progress.step == 3
    for (name, a), b in zip(alone.named_parameters(), team.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3), name


def test_a_kill_leaves_no_worker_behind(
    tiny_tokenizer: Any, tmp_path: Path, template: Template
) -> None:
    work = partial(run, workers=2, checkpoint_minutes=1e-6)
    task = tmp_path / "task"
    task.write_bytes(pickle.dumps(partial(work, tiny_tokenizer, tmp_path, 9999)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    trainer = template.start("-c", TASK, str(task), cwd=tmp_path, env=environment)
    wait_for((tmp_path / "checkpoint-1.pt").exists)
    (worker,) = children(trainer.pid)
    trainer.send_signal(signal.SIGKILL)
    try:
        worker.wait(30)
    except psutil.TimeoutExpired:
        worker.kill()
        raise


def test_a_killed_worker_ends_the_run_at_once_and_says_how_to_go_on(
    tiny_tokenizer: Any, tmp_path: Path
) -> None:
    def kill() -> None:
        wait_for((tmp_path / "checkpoint-1.pt").exists)
        for worker in children(os.getpid()):
            worker.kill()

    Thread(target=kill, daemon=True).start()
    with pytest.raises(TrainingError, match=r"exit code -9.*run again.*checkpoint"):
        run(tiny_tokenizer, tmp_path, 9999, workers=2, checkpoint_minutes=1e-6)


def children(pid: int | None) -> list[psutil.Process]:
    """Return the processes that a process started with `multiprocessing`."""
    found = psutil.Process(pid).children()
    return [c for c in found if any("spawn_main" in word for word in c.cmdline())]


def wait_for(found: Callable[[], bool]) -> None:
    """Wait until something is found."""
    deadline = time.monotonic() + 120
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def test_rate_rises_holds_and_ends_at_zero() -> None:
    wanted = params(warmup=0.1, hold=0.5)
    assert rate(0.05, wanted) == pytest.approx(0.5)
    assert rate(0.3, wanted) == 1.0
    assert rate(0.75, wanted) == pytest.approx(0.5)
    assert rate(1.0, wanted) == 0.0


def test_layer_dropout_grows_with_depth() -> None:
    rates = dropout_rates(8, 0.1)
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.1)
    assert rates == sorted(rates)


def test_loss_is_taken_on_assistant_tokens_only(tiny_tokenizer: Any) -> None:
    _, batch = next(batches(tiny_tokenizer, DATA, 1024))
    asked = tiny_tokenizer.convert_tokens_to_ids("<|user|>")
    assert (batch.inputs == asked).any()
    assert not (batch.labels == asked).any()
    real = batch.labels != IGNORE
    places, labels = batch.places[real], batch.labels[real]
    inside = places[:-1] + 1 == places[1:]
    assert inside.any()
    assert torch.equal(batch.inputs.flatten()[places[1:]][inside], labels[:-1][inside])
    loss, plain = language_loss(
        new_model(SIZE, tiny_tokenizer, 0), batch, params(), random.Random(0)
    )
    assert loss == plain


def test_exported_numbers_load_unchanged(tiny_tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = new_model(SIZE, tiny_tokenizer, 0)
    export(model, tiny_tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == torch.float32
    for a, b in zip(model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(a.to(torch.bfloat16).float(), b)
    assert AutoTokenizer.from_pretrained(tmp_path).encode("Ana 12") == tiny_tokenizer.encode(
        "Ana 12"
    )


def test_loading_processes_make_the_same_batches_in_the_same_order(tiny_tokenizer: Any) -> None:
    here = batches(tiny_tokenizer, DATA, 4096, 3)
    beside = batches(tiny_tokenizer, DATA, 4096, 3, loaders=2)
    for (number, batch), (other, made) in islice(zip(here, beside, strict=True), 60):
        assert number == other
        assert all(torch.equal(a, b) for a, b in zip(batch, made, strict=True))
    assert number > 3


def test_batches_come_in_few_shapes_within_their_budget(tiny_tokenizer: Any) -> None:
    usual = DataParams(levels=DATA.levels)
    made = [batch for _, batch in islice(batches(tiny_tokenizer, usual, 4096), 40)]
    assert all(batch.inputs.numel() <= 4096 for batch in made)
    assert all(batch.inputs.shape[1] % WIDTHS == 0 for batch in made)
    assert all(len(batch.places) % PLACES == 0 for batch in made)
    assert sum(batch.inputs.shape[0] % ROWS == 0 for batch in made) > 0.8 * len(made)


def test_filling_up_changes_no_loss(tiny_tokenizer: Any) -> None:
    model, teacher = (new_model(SIZE, tiny_tokenizer, seed).eval() for seed in (0, 1))
    _, batch = next(batches(tiny_tokenizer, DATA, 1024))
    real = batch.labels != IGNORE
    bare = Batch(batch.inputs, batch.places[real], batch.labels[real])
    wanted = params(distil_weight=0.5)
    given = (wanted, random.Random(0), teacher)
    full, short = (language_loss(model, b, *given)[0] for b in (batch, bare))
    assert len(bare.labels) < len(batch.labels)
    assert torch.allclose(full, short)
