"""A tokenizer that is trained in a second."""

from typing import Any

import pytest

from ttc_bench.reference.recipe import smoke_recipe


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    from ttc_bench.pipelines.train_reference.nodes import make_corpus, make_tokenizer

    recipe = smoke_recipe()
    return make_tokenizer(recipe, make_corpus(recipe))
