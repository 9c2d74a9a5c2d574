"""The local engine: models by path, plain decoding, sampling, timing and the bill."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import shutil
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engines.conftest import job_requests
from tests.engines.decoding.test_elastic_batch import run_all
from tests.engines.tiny_models import (
    CORPUS,
    ask,
    llama_config,
    make_tokenizer,
    plain,
    run,
    save,
    save_llama,
)
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import (
    PLAIN,
    Capability,
    Decoding,
    Engine,
    Plain,
    Request,
    Requirements,
    Sampling,
)
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.decoding import ElasticBatch, FixedLayer, PromptLookup
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.engines.runtime.stack import LayerStack
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.types import Message

DRAWN = Sampling(temperature=0.8, top_p=0.95, seed=7)


def generated(engine: LocalEngine, requests: list[Request]) -> list[list[int]]:
    """What the library's own ``generate`` answers, on a model of its own."""
    model = AutoModelForCausalLM.from_pretrained(engine.models.target, dtype=torch.float32).eval()
    answers = []
    for request in requests:
        prompt = torch.tensor([engine.language_model().encode(request.messages)])
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request.max_tokens,
            do_sample=False,
        )
        answers.append(output[0, prompt.shape[1] :].tolist())
    return answers


def test_greedy_output_is_token_identical_to_generate(
    engine: LocalEngine, requests: list[Request]
) -> None:
    ours = [list(run(engine, request)[0].token_ids) for request in requests]
    assert ours == generated(engine, requests)


FAMILIES: dict[str, Any] = {
    "mistral": lambda: MistralForCausalLM(
        MistralConfig(**llama_config().to_dict() | {"sliding_window": None})
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**llama_config().to_dict())),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=400, n_embd=64, n_layer=3, n_head=4, n_positions=512, eos_token_id=0,
            bos_token_id=0, initializer_range=0.2,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_any_causal_model_takes_the_place_by_its_path(family: str, tmp_path: Path) -> None:
    requests = [ask(text, max_tokens=32) for text in (*CORPUS, " ".join(CORPUS))]
    torch.manual_seed(0)
    engine = LocalModels(target=save(FAMILIES[family](), tmp_path)).build()
    ours = [run(engine, request)[0] for request in requests]
    assert [list(c.token_ids) for c in ours] == generated(engine, requests)
    assert Capability.WHITE_BOX in engine.capabilities()
    assert all(c.usage.prefill_flops and c.usage.peak_kv_bytes for c in ours)
    alone = [run(engine, replace(requests[0], sampling=DRAWN, first_index=i))[0] for i in range(4)]
    together = run(engine, replace(requests[0], sampling=DRAWN, n=4))
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]


def test_logprobs_are_the_models_own(tiny: LocalEngine, tiny_paths: dict[str, str]) -> None:
    request = ask("List all cases.", sampling=DRAWN)
    completion = run(tiny, request)[0]
    prompt = tiny.language_model().encode(request.messages)
    model = AutoModelForCausalLM.from_pretrained(tiny_paths["target"])
    logits = model(torch.tensor([prompt + list(completion.token_ids)])).logits[0]
    own = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    expected = own.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0].tolist()
    assert completion.logprobs == pytest.approx(expected, abs=1e-4)


def test_samples_do_not_depend_on_how_many_are_drawn(engine: LocalEngine) -> None:
    request = ask("Count the transfers per agent.", sampling=DRAWN, n=6)
    together = run(engine, request)
    alone = [run(engine, replace(request, n=1, first_index=i))[0] for i in range(6)]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
    assert [c.index for c in together] == list(range(6))
    assert len({c.token_ids for c in together}) > 1
    other = run(engine, replace(request, sampling=Sampling(temperature=0.8, seed=8)))
    assert [c.token_ids for c in other] != [c.token_ids for c in together]


def test_samples_of_a_prompt_share_its_computation(engine: LocalEngine) -> None:
    request = ask("Count the transfers per agent.", sampling=DRAWN)
    (alone,) = run(engine, request)
    together = run(engine, replace(request, n=5))
    assert not alone.shared_prefill
    assert all(c.shared_prefill for c in together)
    # Each one is billed as if alone; the session counts the shared prompt once.
    assert together[0].usage == replace(alone.usage, batch_size=together[0].usage.batch_size)
    assert 1 < together[0].usage.batch_size <= 5


def test_top_p_and_top_k_leave_out_the_tail() -> None:
    from ttc_bench.engines.runtime.sampler import Sampler

    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    nucleus = Sampler(Sampling(temperature=1.0, top_p=0.7), 0).probabilities(logits)
    assert nucleus.tolist() == pytest.approx([0.625, 0.375, 0, 0])
    top_k = Sampler(Sampling(temperature=1.0, top_k=3), 0).probabilities(logits)
    assert top_k.tolist() == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0])
    coldest = Sampler(Sampling(temperature=5e-324, top_p=5e-324), 0)
    assert coldest.probabilities(logits).tolist() == [1, 0, 0, 0]
    sampler = Sampler(Sampling(temperature=1.0, top_p=0.7), 0)
    assert {sampler.choose(logits) for _ in range(200)} == {0, 1}


def test_stop_strings_end_the_text_wherever_tokens_break(tiny: LocalEngine) -> None:
    whole = run(tiny, ask("The agent handled it.", max_tokens=40))[0]
    stop = whole.text[10:14]
    at = whole.text.index(stop)
    cut = run(tiny, ask("The agent handled it.", max_tokens=40, stop=("never seen", stop)))[0]
    assert cut.text == whole.text[:at]
    assert cut.finish_reason == "stop"
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
    assert stop in tiny.language_model().tokenizer.decode(cut.token_ids)


def test_the_end_token_is_counted_and_not_shown(reference: LocalEngine) -> None:
    (request, *_) = job_requests(1)
    completion = run(reference, request)[0]
    assert completion.finish_reason == "stop"
    assert completion.token_ids[-1] in reference.language_model().end_tokens
    assert completion.usage.completion_tokens == len(completion.token_ids)
    assert "<|" not in completion.text


def test_the_budget_is_kept(tiny: LocalEngine) -> None:
    completion = run(tiny, ask("Hello", max_tokens=3))[0]
    assert (len(completion.token_ids), completion.finish_reason) == (3, "length")


def test_a_prompt_beyond_the_context_window_is_a_failed_call(tiny: LocalEngine) -> None:
    with pytest.raises(CallError, match="512") as failure:
        run(tiny, ask("1" * 600))
    assert failure.value.error_type == "context_length"
    near = run(tiny, ask("1" * 500, max_tokens=100))[0]
    assert near.usage.prompt_tokens + near.usage.completion_tokens <= 512


def test_every_token_has_its_time(engine: LocalEngine) -> None:
    completion = run(engine, ask("Sum the minutes.", max_tokens=20))[0]
    timing = completion.timing
    assert timing.ttft_s is not None
    assert timing.ttft_s > 0
    assert len(timing.itl_s) == len(completion.token_ids) - 1
    assert all(gap > 0 for gap in timing.itl_s)
    assert timing.latency_s == pytest.approx(timing.ttft_s + sum(timing.itl_s))


def test_the_bill_of_plain_decoding(tiny: LocalEngine) -> None:
    completion = run(tiny, ask("Sum the minutes.", max_tokens=10))[0]
    usage = completion.usage
    tokens = len(completion.token_ids)
    assert (usage.forward_passes, usage.layers_run) == (tokens, 4 * tokens)
    positions = usage.prompt_tokens + tokens - 1
    assert usage.peak_kv_bytes == 2 * 4 * 2 * 16 * 4 * positions
    assert (usage.kv_share_kept, usage.padding_share, usage.batch_size) == (1.0, 0.0, 1.0)


def test_an_assistant_turn_is_continued_exactly_where_it_ends(tiny: LocalEngine) -> None:
    question = Message(role="user", content="List all cases.")
    first = run(tiny, ask("List all cases.", max_tokens=12))[0]
    model = tiny.language_model()
    begun = model.encode((question, Message(role="assistant", content="Step 1:\n")))
    assert begun == model.encode((question,)) + model.tokenizer("Step 1:\n")["input_ids"]
    half = model.tokenizer.decode(first.token_ids[:6])
    if model.tokenizer(half)["input_ids"] == list(first.token_ids[:6]):
        messages = (question, Message(role="assistant", content=half))
        rest = run(tiny, replace(ask(""), messages=messages, max_tokens=6))[0]
        assert rest.token_ids == first.token_ids[6:]


def test_a_model_without_a_chat_template_gets_a_plain_one(tmp_path: Path) -> None:
    engine = LocalModels(target=save_llama(tmp_path, seed=1, template=None)).build()
    completion = run(engine, ask("Hello"))[0]
    assert completion.extra["chat_template"] == "plain"
    model = engine.language_model()
    assert model.tokenizer.decode(model.encode(ask("Hi").messages)) == "User: Hi\n\nAssistant:"


def test_completions_survive_the_journal(tiny: LocalEngine) -> None:
    completion = run(tiny, ask("Hello", sampling=DRAWN))[0]
    assert Completion.from_json(json.loads(json.dumps(completion.to_json()))) == completion


def test_nothing_is_loaded_until_it_is_needed(tiny_paths: dict[str, str]) -> None:
    engine = LocalModels(**tiny_paths).build()
    assert engine.roles() == {"target", "draft", "verifier"}
    assert engine.model_name() == "target"
    assert Capability.WHITE_BOX in engine.capabilities()
    assert engine.capabilities("verifier") == {Capability.VERIFY}
    assert engine.fingerprint()
    assert not engine._loaded


def test_the_fingerprint_follows_whatever_changes_answers(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "same", "weights", "tokenizer")]
    save_llama(paths[0], seed=1)
    for path in paths[1:]:
        shutil.copytree(paths[0], path)
    save_llama(paths[2], seed=2)
    make_tokenizer(vocab=390).save_pretrained(paths[3])
    prints = [LocalModels(target=str(path)).build().fingerprint() for path in paths]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    half = LocalModels(target=str(paths[0]), dtype="bfloat16").build()
    assert half.fingerprint() != prints[0]


def damaged(folder: Path, tmp_path: Path, fault: str) -> Path:
    """A copy of a model with one thing wrong."""
    path = tmp_path / "damaged"
    shutil.copytree(folder, path)
    if fault == "no config":
        (path / "config.json").unlink()
    elif fault == "broken config":
        (path / "config.json").write_text("{")
    elif fault == "no weights":
        (path / "model.safetensors").unlink()
    elif fault == "no tokenizer":
        (path / "tokenizer.json").unlink()
        (path / "tokenizer_config.json").unlink()
    elif fault in WRITTEN:
        name, text = WRITTEN[fault]
        (path / name).write_text(text)
    elif fault == "adapter":
        told = {"base_model_name_or_path": "owner/base"}
        (path / "adapter_config.json").write_text(json.dumps(told))
    elif fault in CONFIGS:
        configure(path, **CONFIGS[fault])
    else:
        for file in path.iterdir():
            file.unlink()
        (path / fault).parent.mkdir(exist_ok=True)
        (path / fault).write_text("{}")
    return path


def configure(path: Path, **changes: Any) -> None:
    """Change a model's configuration and leave its weights."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


WRITTEN = {
    "broken adapter": ("adapter_config.json", "{"),
    "broken settings": ("generation_config.json", "{"),
    "not fetched": ("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    "broken template": ("chat_template.jinja", "{% for message in messages %}"),
    "empty template": ("chat_template.jinja", "Hello"),
}
CONFIGS: dict[str, dict[str, Any]] = {
    "not causal": {"model_type": "vit"},
    "encoder": {"model_type": "bert"},
    "encoder without a mask": {"model_type": "bert-generation"},
    "encoder and decoder": {"model_type": "bart", "is_encoder_decoder": True},
    "quantised": {"quantization_config": {"quant_method": "aqlm"}},
    "refused config": {"num_attention_heads": 5},
}


FAULTS = {
    "no config": "holds no config.json",
    "broken config": "not valid JSON",
    "no weights": "holds no weights",
    "no tokenizer": "holds no tokenizer",
    "not causal": "'vit' is not a causal language model",
    "encoder": "'bert' is an encoder",
    "encoder without a mask": "'bert-generation' is an encoder",
    "encoder and decoder": "'bart' is an encoder with a decoder",
    "quantised": r"quantised (aqlm), which takes packages that are not installed here: aqlm",
    "adapter": "an adapter (LoRA) for owner/base",
    "model.Q4.gguf": "kedro gguf ",
    "model.Q4.GGUF": "kedro gguf ",
    "broken adapter": "its adapter_config.json is not valid JSON",
    "broken settings": "its generation_config.json is not valid JSON",
    "not fetched": "model.safetensors is a pointer of Git LFS",
    "refused config": "its config.json is refused (Class validation error",
    "broken template": "its chat template cannot be rendered",
    "empty template": "its chat template leaves out what is asked",
    "model_index.json": "a diffusers pipeline",
    "consolidated.00.pth": "their authors' own layout",
    "checkpoint-5/config.json": "no config.json; folders within it do: checkpoint-5",
}


@pytest.mark.parametrize(("fault", "told"), FAULTS.items())
def test_a_path_that_is_no_model_is_one_clear_line(
    fault: str, told: str, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = damaged(Path(tiny_paths["target"]), tmp_path, fault)
    with pytest.raises(UserError) as failure:
        LocalModels(target=str(path)).build()
    assert told in failure.value.message
    assert str(path) in failure.value.message
    assert "\n" not in failure.value.message


def test_a_reference_model_that_is_gone_is_said_to_be_a_file_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"model\.target.*git checkout data/06_models/") as failure:
        LocalModels(target="data/06_models/reference/target").build()
    assert "\n" not in failure.value.message
    assert "hub id" not in failure.value.message, "it is none, and nothing was mistyped"


class Hub(BaseHTTPRequestHandler):
    """Serves a folder as the one model of a hub, as its client asks for it."""

    folder: ClassVar[Path]

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer with what the model consists of, or with one of its files."""
        sha, files = "0" * 40, {path.name: path.read_bytes() for path in self.folder.iterdir()}
        if "/tree/" in self.path:
            listed = [{"type": "file", "path": name, "size": len(content), "oid": sha}
                      for name, content in files.items()]  # fmt: skip
            body = json.dumps(listed).encode()
        elif "/api/" in self.path:
            siblings = [{"rfilename": name} for name in files]
            body = json.dumps({"id": "owner/name", "sha": sha, "siblings": siblings}).encode()
        else:
            body = files[self.path.rpartition("/")[2]]
        self.send_response(200)
        etag = hashlib.sha256(body).hexdigest()
        for header, value in {"ETag": f'"{etag}"', "X-Repo-Commit": sha,
                              "Content-Length": str(len(body))}.items():  # fmt: skip
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_adapter_that_is_named_by_its_hub_id_is_told_as_one(
    tiny_paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its repository holds no config.json: without the adapter's own, nobody would know why."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    shutil.copy(Path(tiny_paths["target"]) / "tokenizer.json", adapter)
    (adapter / "adapter_model.safetensors").write_bytes(b"x")
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')

    class Adapter(Hub):
        folder = adapter

    server = ThreadingHTTPServer(("127.0.0.1", 0), Adapter)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in (
        ("ENDPOINT", address),
        ("HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
    ):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    try:
        with pytest.raises(UserError) as failure:
            LocalModels(target="owner/name").build()
    finally:
        server.shutdown()
    assert "'owner/name'" in failure.value.message
    assert "an adapter (LoRA) for owner/base" in failure.value.message
    assert "\n" not in failure.value.message


def test_missing_paths_and_wrong_roles_are_told(tiny_paths: dict[str, str]) -> None:
    target = tiny_paths["target"]
    with pytest.raises(UserError, match=r"model\.target.*there is no such folder"):
        LocalModels(target="data/06_models/nowhere/target").build()
    with pytest.raises(UserError, match=r"model\.verifier.*no scalar head"):
        LocalModels(target=target, verifier=target).build()
    with pytest.raises(UserError, match=r"model\.draft.*generates nothing"):
        LocalModels(target=target, draft=tiny_paths["verifier"]).build()
    with pytest.raises(UserError, match=r"model.*'targt'.*Did you mean 'target'"):
        engine_params({"engine": "local", "targt": target})
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            LocalModels(target=target, device="cuda").build().fingerprint()


def test_weights_that_a_checkpoint_lacks_are_never_made_up(tmp_path: Path) -> None:
    path = Path(save_llama(tmp_path / "four", seed=1))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    engine = LocalModels(target=str(path)).build()
    with pytest.raises(UserError, match=r"weights lack model\.layers\.4"):
        run(engine, ask("Hello"))


MISFITS = {
    "num_hidden_layers": (3, r"no place for model\.layers\.3\..* and \d+ others"),
    "intermediate_size": (128, r"layers\.0\.mlp\..* is \(64, 96\) in the file and \(64, 128\)"),
    "vocab_size": (448, r"embed_tokens\.weight is \(400, 64\) in the file and \(448, 64\)"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_their_config_are_told(
    name: str, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    value, told = MISFITS[name]
    path = shutil.copytree(tiny_paths["target"], tmp_path / "misfit")
    configure(path, **{name: value})
    with pytest.raises(UserError, match=told) as failure:
        LocalModels(target=str(path)).build().language_model()
    assert "\n" not in failure.value.message


def test_ids_without_an_embedding_are_told_before_anything_is_loaded(tmp_path: Path) -> None:
    """What a text alone can name is a failed call, and a padding token is none."""
    path = Path(save_llama(tmp_path, seed=1, vocab_size=300))
    with pytest.raises(
        UserError, match=r"makes ids up to 399, but .* those of 300 tokens: give it"
    ):
        LocalModels(target=str(path)).build()
    tokenizer = make_tokenizer(vocab=300)
    tokenizer.add_tokens(["<|never|>"], special_tokens=True)
    tokenizer.save_pretrained(path)
    engine = LocalModels(target=str(path)).build()
    assert run(engine, ask("Hello", max_tokens=2))
    with pytest.raises(CallError, match=r"the token '<\|never\|>' \(300\), but .* 300 tokens"):
        run(engine, ask("What does <|never|> mean?"))
    reading = engine.prompt_logprobs("<|never|>", "target")
    with pytest.raises(CallError, match="embeddings for 300"):
        asyncio.run(reading)


@pytest.mark.parametrize("sampling", [Sampling(), DRAWN])
def test_a_model_that_computes_no_numbers_answers_nothing(
    sampling: Sampling, tmp_path: Path
) -> None:
    path = Path(save_llama(tmp_path, seed=1))
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"][0] = math.inf
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    engine, request = LocalModels(target=str(path)).build(), ask("Hello", sampling=sampling)
    for asked in (request, replace(request, n=2, sampling=DRAWN)):
        with pytest.raises(CallError, match=r"NaN.*model\.dtype") as failure:
            run(engine, asked)
        assert failure.value.error_type == "not_a_number"
    together = dict(run_all(engine, [request, ask("Hi")], ElasticBatch()))
    assert [cast(CallError, together[i]).error_type for i in (0, 1)] == 2 * ["not_a_number"]


def test_near_ties_are_counted_in_half_precision(tmp_path: Path) -> None:
    """Every token has a twin here, so that each choice is a tie; in float32 none is told."""
    path = Path(save_llama(tmp_path, seed=1))
    weights = load_file(path / "model.safetensors")
    embeddings = weights["model.embed_tokens.weight"]
    embeddings[200:] = embeddings[:200].flip(0)
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    half, full = (LocalModels(target=str(path), dtype=t).build() for t in ("bfloat16", "float32"))
    for decoding in (PLAIN, PromptLookup(max_ngram=1)):
        request = ask("Hello", max_tokens=8, decoding=decoding)
        completion = run(half, request)[0]
        tokens = len(completion.token_ids)
        assert completion.notes == (f"near_ties: {tokens} of {tokens} tokens",)
        assert not run(full, request)[0].notes


def test_what_a_checkpoint_asks_for_and_nothing_here_does_is_told(
    tiny: LocalEngine,
    tiny_paths: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Penalties and sampling of its authors, and weights that its architecture does not use."""
    path = shutil.copytree(tiny_paths["target"], tmp_path / "defaults")
    settings = json.loads((path / "generation_config.json").read_text())
    asked = {"repetition_penalty": 1.1, "top_p": 0.8, "do_sample": True}
    (path / "generation_config.json").write_text(json.dumps(settings | asked))
    weights = load_file(path / "model.safetensors")
    save_file({**weights, "v_head.weight": torch.ones(1)}, path / "model.safetensors")
    request = ask("Hello", max_tokens=4)
    answered = run(LocalModels(target=str(path)).build(), request)[0]
    assert answered.token_ids == plain(tiny, request).token_ids
    assert "is not followed: repetition_penalty 1.1, top_p 0.8." in caplog.text
    assert "weights not used: v_head.weight" in caplog.text
    caplog.clear()
    LocalModels(target=tiny_paths["target"]).build().language_model()
    assert not caplog.records


def test_what_a_model_cannot_do_is_a_capability_error(
    tiny: LocalEngine, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(CapabilityError, match="verifier"):
        run(tiny, ask("Hello", role="verifier"))
    alone = LocalModels(target=tiny_paths["target"]).build()
    with pytest.raises(CapabilityError, match=r"no draft model.*model\.draft"):
        run(alone, ask("Hello", role="draft"))
    with pytest.raises(CapabilityError, match="no verifier"):
        asyncio.run(alone.verify((), ["x"]))
    other = LocalModels(target=save_closed(tmp_path)).build()
    with pytest.raises(CapabilityError, match=r"FixedLayer cannot run.*mamba models take no"):
        run(other, ask("Hello", decoding=FixedLayer()))


def save_closed(folder: Path) -> str:
    """Write a model that no decoding opens: it has no key-value cache."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
    return save(MambaForCausalLM(MambaConfig(**sizes)), folder)


class Failing(Decoding):
    """A decoding whose loop cannot be left out without being noticed."""

    requires: ClassVar[Requirements] = PLAIN.requires

    def run(self, context: DecodeContext) -> None:
        """Fail."""
        raise ArithmeticError("the loop ran")


class FailingPlain(Plain):
    """The same, as a change of plain decoding."""

    run = Failing.run


@pytest.mark.parametrize("decoding", [Failing(), FailingPlain()], ids=repr)
@pytest.mark.parametrize("n", [1, 3])
def test_a_decoding_with_a_loop_of_its_own_runs_its_loop(
    tiny: LocalEngine, decoding: Decoding, n: int
) -> None:
    with pytest.raises(ArithmeticError, match="the loop ran"):
        run(tiny, ask("Hello", decoding=decoding, sampling=DRAWN, n=n))


def test_a_decoding_without_a_loop_does_not_exist() -> None:
    class Loopless(Decoding):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?run"):
        Loopless()  # type: ignore[abstract]


def test_a_loop_that_opens_a_closed_model_is_refused(tmp_path: Path) -> None:
    class Opens(Decoding):
        requires: ClassVar[Requirements] = PLAIN.requires

        def run(self, context: DecodeContext) -> None:
            context.white_box.climb(context.tensor([0]), None, [1], bool)

    engine = LocalModels(target=save_closed(tmp_path)).build()
    with pytest.raises(CapabilityError, match="take no key-value cache"):
        run(engine, ask("Hello", decoding=Opens()))


def test_layers_are_found_only_where_they_cannot_be_mistaken() -> None:
    def layers(count: int) -> nn.ModuleList:
        return nn.ModuleList(nn.ModuleDict({"experts": nn.ModuleList()}) for _ in range(count))

    model = nn.ModuleDict({"body": nn.ModuleDict({"h": layers(3), "heads": layers(2)})})
    for layer in model["body"]["h"]:
        layer["experts"].extend(nn.Linear(1, 1) for _ in range(3))
    stack = LayerStack.of(model, 3)
    assert stack is not None
    assert stack.path == "body.h"
    model["body"]["second"] = layers(3)
    assert LayerStack.of(model, 3) is None


def test_an_engine_that_leaves_something_out_does_not_exist() -> None:
    class Partial(Engine):
        async def complete(self, request: Request) -> tuple[Completion, ...]:
            return ()

    with pytest.raises(TypeError, match=r"abstract methods.*capabilities.*fingerprint.*verify"):
        Partial()  # type: ignore[abstract]


def test_exact_precision_computes_in_float32_or_is_refused(tiny_paths: dict[str, str]) -> None:
    target = tiny_paths["target"]
    exact = LocalModels(target=target, precision="exact").build()
    assert exact.language_model().model.dtype == torch.float32
    assert Capability.FLOAT32 in exact.capabilities()
    with pytest.raises(UserError, match=r"precision.*exact.*float32.*model\.dtype"):
        LocalModels(target=target, precision="exact", dtype="bfloat16").build()


def test_exact_precision_refuses_quantised_weights(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = shutil.copytree(tiny_paths["target"], tmp_path / "quantised")
    configure(path, quantization_config={"quant_method": "fp8"})
    with pytest.raises(UserError, match=r"model\.target.*quantised \(fp8\).*precision"):
        LocalModels(target=str(path), precision="exact").build()


def test_threads_are_set_as_asked(tiny_paths: dict[str, str]) -> None:
    before = torch.get_num_threads()
    try:
        engine = LocalModels(target=tiny_paths["target"], threads=2).build()
        run(engine, ask("Hello", max_tokens=2))
        assert torch.get_num_threads() == 2
        run(LocalModels(target=tiny_paths["target"]).build(), ask("Hello", max_tokens=2))
        assert torch.get_num_threads() == 1, "a tiny pass is not worth a second thread"
    finally:
        torch.set_num_threads(before)


def test_logprobs_are_probabilities(engine: LocalEngine) -> None:
    completion = run(engine, ask("Sum the minutes.", sampling=DRAWN))[0]
    assert completion.logprobs is not None
    assert all(0 < math.exp(logprob) <= 1.0 + 1e-6 for logprob in completion.logprobs)
