"""A stop string ends a sample, whichever tokens write it."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REFERENCE

from ttc_bench.engines.runtime.stream import LONGEST, TokenStream, _encoded, decode, encode


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(REFERENCE / "target")


@pytest.mark.parametrize(
    ("stop", "written", "text"),
    [
        ("<|user|>", "ten calls<|user|>more", "ten calls"),
        ("<|user|>", "ten<|pad|> calls<|user|>more", "ten calls"),
        ("calls<|user|>", "ten calls<|user|>more", "ten "),
        ("<|assistant|>\n", "ten<|assistant|>\nmore", "ten"),
        ("calls", "ten<|user|> calls more", "ten "),
    ],
)
def test_a_stop_string_of_special_tokens_is_seen(
    tokenizer: Any, stop: str, written: str, text: str
) -> None:
    tokens = tokenizer(written, add_special_tokens=False)["input_ids"]
    stream = TokenStream(tokenizer, frozenset(), (stop,), 99, time.perf_counter())
    stream.emit(tokens, [0.0] * len(tokens))
    assert (stream.finish_reason, stream.stop_string, stream.text()) == ("stop", stop, text)
    assert len(stream.tokens) < len(tokens), "what comes behind it is not taken"


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    """A tokenizer that writes blanks as Llama 2's, Mistral's and Gemma's do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["\u2581rc", "/", "t", "\u2581model", "\u2581is", "\u2581", "s", ".", "\u2581t"]
    pieces = [("<unk>", 0.0), *((word, -1.0) for word in words)]
    inner = Tokenizer(models.Unigram(pieces, unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


TEXT = "rc/t model is  t."


@pytest.mark.parametrize("stop", [(), ("no such text",), (" t",)])
@pytest.mark.parametrize("kind", ["sentencepiece", "tokenizer"])
def test_a_text_goes_on_at_every_border_as_it_was_written(
    kind: str, stop: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """The blank of a word that begins a continuation is not lost, nor is one invented."""
    own: Any = request.getfixturevalue(kind)
    tokens = own(TEXT, add_special_tokens=False)["input_ids"]
    whole = TEXT.rpartition(" t")[0] if stop == (" t",) else TEXT
    for border in range(1, len(tokens)):
        head = own.decode(tokens[:border])
        stream = TokenStream(own, frozenset(), stop, 99, 0.0, tokens[max(0, border - 3) : border])
        stream.emit(tokens[border:], [0.0] * (len(tokens) - border))
        if len(head) <= len(whole):
            assert head + stream.text() == whole, border
            assert stream.stop_string == (" t" if stop == (" t",) else None)


@pytest.mark.parametrize("kind", ["sentencepiece", "tokenizer"])
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["<|user|> a", ""]))
def test_a_text_has_the_tokens_that_its_tokenizer_gives_it(
    request: pytest.FixtureRequest, kind: str, text: str
) -> None:
    own = request.getfixturevalue(kind)
    assert encode(own, text) == own(text, add_special_tokens=False)["input_ids"]


def test_a_tokenizer_that_cuts_fills_up_or_does_more_gives_the_same_tokens(tokenizer: Any) -> None:
    class Doubled(type(tokenizer)):  # type: ignore[misc]
        def __call__(self, text: Any, **options: Any) -> Any:
            return super().__call__(text * 2, **options)

    twice = Doubled(tokenizer_object=copy.deepcopy(tokenizer.backend_tokenizer))
    assert encode(twice, "a b") == tokenizer("a ba b", add_special_tokens=False)["input_ids"]

    cut = type(tokenizer)(tokenizer_object=copy.deepcopy(tokenizer.backend_tokenizer))
    cut.backend_tokenizer.enable_truncation(2)
    cut.backend_tokenizer.enable_padding(length=99)
    text = "<|user|> a text of more than two tokens"
    assert encode(cut, text) == tokenizer(text, add_special_tokens=False)["input_ids"]


def alike(tokenizer: Any, **changes: Any) -> Any:
    """Return a tokenizer of its own that is made as another one, but for ``changes``."""
    return type(tokenizer)(tokenizer_object=copy.deepcopy(tokenizer.backend_tokenizer), **changes)


@pytest.mark.parametrize("kind", ["sentencepiece", "tokenizer"])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=9))
def test_what_is_remembered_of_one_tokenizer_is_never_the_tokens_of_another(
    request: pytest.FixtureRequest, kind: str, texts: list[str]
) -> None:
    first = request.getfixturevalue(kind)
    # Each time new ones, in the memory that the last ones had.
    same, more, split = (alike(first, split_special_tokens=n == 2) for n in range(3))
    more.add_tokens(["a", "<|user|>"])
    for text in (*texts, "<|user|> a", *texts):
        for own in (first, same, more, split):
            expected = own(text, add_special_tokens=False)["input_ids"]
            encode(own, text).append(-1)
            assert encode(own, text) == expected, "what a caller does to its list is its own affair"


def test_what_is_remembered_takes_little_memory_however_long_texts_are(tokenizer: Any) -> None:
    for length, kept in ((LONGEST + 1, 0), (LONGEST, 1)):
        text, before = "ten calls " * (length // 10) + "x" * (length % 10), _encoded.cache_info()
        assert encode(tokenizer, text) == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert _encoded.cache_info().misses - before.misses == kept


def test_a_tokenizer_with_a_part_in_python_has_its_own_tokens(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    class Letters:
        def pre_tokenize(self, text: Any) -> None:
            text.split(lambda _, part: [part[i : i + 1] for i in range(len(str(part)))])

    own = alike(tokenizer)
    own.backend_tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(Letters())
    assert encode(own, "calls") == own("calls", add_special_tokens=False)["input_ids"]
    assert len(encode(own, "calls")) == 5 > len(encode(tokenizer, "calls"))


@pytest.mark.parametrize("skip_special", [True, False])
@pytest.mark.parametrize("kind", ["sentencepiece", "tokenizer"])
@given(data=st.data())
def test_tokens_have_the_text_that_their_tokenizer_gives_them(
    request: pytest.FixtureRequest, kind: str, skip_special: bool, data: st.DataObject
) -> None:
    own = request.getfixturevalue(kind)
    tokens = data.draw(st.lists(st.integers(0, len(own) - 1)))
    assert decode(own, tokens, skip_special) == own.decode(
        tokens, skip_special_tokens=skip_special, clean_up_tokenization_spaces=False
    )


def test_a_tokenizer_that_decodes_otherwise_is_asked_itself(tokenizer: Any) -> None:
    class Loud(type(tokenizer)):  # type: ignore[misc]
        def _decode(self, *arguments: Any, **options: Any) -> str:
            return str(super()._decode(*arguments, **options)).upper()

    loud = Loud(tokenizer_object=copy.deepcopy(tokenizer.backend_tokenizer))
    assert decode(loud, encode(loud, "ten calls")) == "TEN CALLS"
