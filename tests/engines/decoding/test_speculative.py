"""Speculative decoding: exactly the target's output, in fewer passes of the target."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tests.engines.conftest import job_requests
from tests.engines.tiny_models import (
    CORPUS,
    ask,
    make_tokenizer,
    once,
    plain,
    run,
    save,
    save_llama,
)
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from ttc_bench.engines.base import Request, Sampling
from ttc_bench.engines.decoding import DraftModel, PromptLookup
from ttc_bench.engines.decoding.prompt_lookup import NgramDrafter
from ttc_bench.engines.decoding.speculation import Proposal, verify_drawn
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.sampler import Sampler
from ttc_bench.errors import CapabilityError

SPECULATIVE = [
    DraftModel(),
    DraftModel(k=1),
    DraftModel(k=7),
    PromptLookup(),
    PromptLookup(k=8, max_ngram=1),
]


@pytest.mark.parametrize("decoding", SPECULATIVE, ids=lambda d: d.label)
def test_greedy_output_is_token_identical_to_plain(
    engine: LocalEngine, requests: list[Request], decoding: Any
) -> None:
    for request in requests:
        baseline = plain(engine, request)
        speculative = once(engine, replace(request, decoding=decoding))
        assert speculative.token_ids == baseline.token_ids
        assert speculative.text == baseline.text
        assert speculative.finish_reason == baseline.finish_reason
        assert speculative.logprobs == pytest.approx(baseline.logprobs, abs=1e-3)


@pytest.mark.parametrize("decoding", SPECULATIVE, ids=lambda d: d.label)
def test_accepted_drafts_save_passes(
    engine: LocalEngine, requests: list[Request], decoding: Any
) -> None:
    for request in requests:
        usage = once(engine, replace(request, decoding=decoding)).usage
        assert 0 <= usage.accepted_tokens <= usage.draft_tokens
        # Every pass yields its accepted drafts and one token of the target's own, except the
        # last one where an accepted draft ends the answer.
        own_tokens = usage.completion_tokens - usage.accepted_tokens
        assert usage.forward_passes in (own_tokens, own_tokens + 1)


def test_the_trained_pair_needs_fewer_passes_than_tokens(reference: LocalEngine) -> None:
    for decoding in (DraftModel(), PromptLookup()):
        requests = [replace(request, decoding=decoding) for request in job_requests(2)]
        runs = [once(reference, request).usage for request in requests]
        assert sum(u.forward_passes or 0 for u in runs) < sum(u.completion_tokens for u in runs)
        assert sum(u.accepted_tokens for u in runs) > 0


def test_both_models_are_billed(engine: LocalEngine, requests: list[Request]) -> None:
    whole = plain(engine, requests[0]).usage
    usage = run(engine, replace(requests[0], decoding=DraftModel()))[0].usage
    assert usage.draft_forward_passes
    assert usage.draft_forward_passes >= usage.draft_tokens
    assert (usage.prefill_flops or 0) > (whole.prefill_flops or 0)
    assert (usage.peak_kv_bytes or 0) > (whole.peak_kv_bytes or 0)
    assert whole.draft_forward_passes == 0


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    """A random target and, as its draft, the same weights with noise: they agree now and then.

    Weights are narrow enough for the tied embeddings to favour repetition, which n-grams find.
    """
    folder = tmp_path_factory.mktemp("related")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.02}
    target = save_llama(folder / "target", seed=5, **size)
    model = LlamaForCausalLM.from_pretrained(target)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.25 * weight.std() * torch.randn_like(weight))
    return LocalModels(target=target, draft=save(model, folder / "draft")).build()


DRAWS = 1000
TOP_K = 4
SHORT = ask("1 1 1 1", max_tokens=3, sampling=Sampling(temperature=1.0, top_k=TOP_K, seed=3))


@pytest.mark.parametrize("decoding", [DraftModel(k=2), PromptLookup(k=2)], ids=lambda d: d.label)
def test_sampled_output_has_the_targets_distribution(related: LocalEngine, decoding: Any) -> None:
    """Chi-square over all answers of three tokens, against their exact probabilities."""
    completions = run(related, replace(SHORT, decoding=decoding, n=DRAWS))
    drafted = sum(c.usage.draft_tokens for c in completions)
    accepted = sum(c.usage.accepted_tokens for c in completions)
    assert 0.02 < accepted / drafted < 0.98, "both branches of the scheme must be taken"
    exact = exact_distribution(related, SHORT)
    assert p_value(Counter(c.token_ids for c in completions), exact) > 0.001


def test_the_chi_square_would_notice_another_distribution(related: LocalEngine) -> None:
    """The test above has teeth: the draft model's own samples fail it."""
    drawn = run(related, replace(SHORT, role="draft", n=DRAWS))
    exact = exact_distribution(related, SHORT)
    assert p_value(Counter(c.token_ids for c in drawn), exact) < 1e-6


@pytest.mark.parametrize("certain", [True, False])
def test_the_rejection_scheme_on_six_tokens(certain: bool) -> None:
    """First tokens that come out of the scheme follow p, whatever q proposed them."""
    p = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05, 0.0])
    q = torch.tensor([0.1, 0.2, 0.1, 0.3, 0.1, 0.2])
    sampler = Sampler(Sampling(temperature=1.0), 0)
    logits = torch.stack((p, p)).log()
    drawn = Counter[int]()
    for _ in range(10_000):
        draft = 3 if certain else sampler.draw(q)
        proposal = Proposal([draft], [] if certain else [q])
        drawn[verify_drawn(sampler, proposal, logits)[0]] += 1
    observed = [drawn[token] for token in range(5)]
    assert drawn.total() == sum(observed), "a token of probability zero came out"
    assert chisquare(observed, p[:5].numpy() * 10_000).pvalue > 0.001


def p_value(answers: Counter[tuple[int, ...]], exact: dict[tuple[int, ...], float]) -> float:
    """Chi-square test of observed answers, impossible ones counted as one cell of their own."""
    assert abs(sum(exact.values()) - 1) < 1e-6
    draws = answers.total()
    cells = [(answers[a], exact[a] * draws) for a in sorted(exact, key=lambda a: exact[a])]
    impossible = draws - sum(observed for observed, _ in cells)
    if impossible:
        return 0.0
    observed, expected = grouped(cells)
    return float(chisquare(observed, expected).pvalue)


def exact_distribution(engine: LocalEngine, request: Request) -> dict[tuple[int, ...], float]:
    """The probability of every answer under top-k sampling, by the library's own model."""
    model = LlamaForCausalLM.from_pretrained(engine.models.target)
    prompt = engine.language_model().encode(request.messages)
    masses: dict[tuple[int, ...], float] = {}

    def grow(answer: tuple[int, ...], mass: float) -> None:
        if len(answer) == request.max_tokens or (answer and answer[-1] == 0):
            masses[answer] = mass
            return
        with torch.no_grad():
            logits = model(torch.tensor([prompt + list(answer)])).logits[0, -1].double()
        best = logits.topk(TOP_K)
        for token, p in zip(best.indices.tolist(), best.values.softmax(-1).tolist(), strict=True):
            grow((*answer, token), mass * p)

    grow((), 1.0)
    return masses


def grouped(cells: list[tuple[int, float]]) -> tuple[Any, Any]:
    """Merge rare answers so that every cell expects at least five."""
    merged: list[list[float]] = [[0.0, 0.0]]
    for observed, expected in cells:
        if merged[-1][1] >= 5:
            merged.append([0.0, 0.0])
        merged[-1][0] += observed
        merged[-1][1] += expected
    table = np.array(merged)
    return table[:, 0], table[:, 1] * table[:, 0].sum() / table[:, 1].sum()


def test_a_draft_of_another_family_is_refused(tiny_paths: dict[str, str], tmp_path: Path) -> None:
    save_llama(tmp_path, seed=2)
    make_tokenizer(vocab=390).save_pretrained(tmp_path)
    engine = LocalModels(target=tiny_paths["target"], draft=str(tmp_path)).build()
    with pytest.raises(CapabilityError, match=r"tokenizers differ.*model\.draft"):
        engine.require(ask("Hello", decoding=DraftModel()))
    assert not engine._loaded, "seen before anything is loaded"
    assert run(engine, ask("Hello", role="draft", max_tokens=2)), "it may still answer as text"


def test_a_draft_stops_where_its_context_window_or_its_vocabulary_ends(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    """The target goes on alone, and its answer is the baseline's."""
    requests = [ask(text, max_tokens=24) for text in CORPUS]
    baseline = LocalModels(target=tiny_paths["target"]).build()
    expected = [plain(baseline, request).token_ids for request in requests]
    assert any(token >= 300 for tokens in expected for token in tokens)
    prompts = [plain(baseline, request).usage.prompt_tokens for request in requests]
    for name, change in (
        ("window", {"max_position_embeddings": max(prompts) + 6}),
        ("vocabulary", {"vocab_size": 300}),
    ):
        draft = save_llama(tmp_path / name, seed=2, num_hidden_layers=1, **change)
        engine = LocalModels(target=tiny_paths["target"], draft=draft).build()
        drafted = [run(engine, replace(r, decoding=DraftModel()))[0] for r in requests]
        assert [c.token_ids for c in drafted] == expected
        assert name == "vocabulary" or all(c.usage.draft_tokens for c in drafted)


@pytest.mark.parametrize("outputs", [400, 448, 396])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9)])
def test_any_causal_model_may_draft(
    outputs: int, sampling: Sampling, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    """A model of another architecture, with logits padded differently."""
    config = GPT2Config(
        vocab_size=outputs, n_embd=32, n_layer=1, n_head=2, n_positions=512, initializer_range=0.2
    )
    torch.manual_seed(0)
    draft = save(GPT2LMHeadModel(config), tmp_path)
    engine = LocalModels(target=tiny_paths["target"], draft=draft).build()
    request = ask("List all cases.", sampling=sampling)
    drafted = run(engine, replace(request, decoding=DraftModel()))[0]
    assert drafted.usage.draft_tokens > 0
    if sampling.temperature == 0:
        assert drafted.token_ids == plain(engine, request).token_ids


def test_ngrams_propose_what_followed_them_last() -> None:
    drafter = NgramDrafter(max_ngram=2)
    assert drafter.propose([1, 2, 3, 1, 2, 4, 1, 2], 4).tokens == [4, 1, 2]
    assert drafter.propose([1, 2, 3, 1, 2, 4, 1, 2, 3], 2).tokens == [1, 2]
    assert drafter.propose([1, 2, 3, 1, 2, 4, 1, 2, 3, 9], 2).tokens == []
    assert NgramDrafter(3).propose([5], 4).tokens == []
