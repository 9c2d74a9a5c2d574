"""The whole recipe at toy size: from nothing to a card."""

from pathlib import Path

import pytest
import torch
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from ttc_bench.datasets import StoreDataset
from ttc_bench.pipelines.train_reference import create_pipeline
from ttc_bench.pipelines.train_reference.nodes import make_tokenizer, train_target, train_trunk
from ttc_bench.reference.datasets import ReferenceModelDataset
from ttc_bench.reference.recipe import smoke_recipe
from ttc_bench.reporting.tracker import Tracker

ROLES = ("target", "draft", "verifier")
STORED = ("trunk", *ROLES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DataCatalog]:
    folder = tmp_path_factory.mktemp("reference")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    catalog = DataCatalog(
        {
            "params:train_reference": MemoryDataset(smoke_recipe()),
            "reference.checkpoints": StoreDataset(str(folder / "checkpoints")),
            "reference.card": MemoryDataset(),
            "tracker": MemoryDataset(Tracker()),
            "reference.evaluation": JSONDataset(filepath=str(folder / "evaluation.json")),
            **{f"reference.{name}": ReferenceModelDataset(str(folder / name)) for name in STORED},
            **{
                f"reference.{name}_curve": JSONDataset(filepath=str(folder / f"{name}.json"))
                for name in STORED
            },
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    torch.set_num_threads(threads)
    return folder, catalog


def test_all_models_are_made_in_hugging_face_layout(made: tuple[Path, DataCatalog]) -> None:
    folder, _ = made
    for name in ROLES:
        files = {p.name for p in (folder / name).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= files


def test_curves_fall(made: tuple[Path, DataCatalog]) -> None:
    _, catalog = made
    curve = catalog.load("reference.target_curve")
    assert len(curve) > 1
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_all_three_go_on_from_the_target_before_its_last_stage(
    made: tuple[Path, DataCatalog],
) -> None:
    _, catalog = made
    trunk = catalog.load("reference.trunk_curve")
    target = catalog.load("reference.target_curve")
    assert target[: len(trunk)] == trunk
    assert target[len(trunk)]["tokens"] > trunk[-1]["tokens"]
    for role in ("draft", "verifier"):
        assert catalog.load(f"reference.{role}_curve")[0]["loss"] < trunk[0]["loss"]
    assert catalog.load("reference.verifier").model.config.implicit_reward == {"beta": 0.1}


def test_card_states_scores_chance_checksums_and_limits(made: tuple[Path, DataCatalog]) -> None:
    _, catalog = made
    card = catalog.load("reference.card")
    for said in ("What these models are not", "blind guess", "SHA-256", "target/model.safetensors"):
        assert said in card
    unseen = card.partition("## What these figures do not show")[2]
    assert "crm_sim: that majority of 2 samples answer better than the greedy target" in unseen
    found = catalog.load("reference.evaluation")
    assert set(found) == {"crm_sim", "worf_sim"}
    rewards = found["crm_sim"]["rewards"]
    assert {"greedy", "draft", "exit_2", "majority", "verifier", "oracle", "random"} <= set(rewards)
    assert rewards["speculative"] == rewards["greedy"]
    assert 0 <= rewards["random"]["mean"] <= rewards["oracle"]["mean"] <= 1


def test_a_recipe_goes_on_from_an_earlier_family_with_its_last_two_stages(
    made: tuple[Path, DataCatalog], tmp_path: Path
) -> None:
    folder, catalog = made
    recipe = smoke_recipe().model_copy(update={"start": str(folder)})
    tokenizer = make_tokenizer(recipe, [])
    assert tokenizer.get_vocab() == catalog.load("reference.target").tokenizer.get_vocab()
    _, curve = train_target(recipe, tmp_path, *train_trunk(recipe, tmp_path, tokenizer))
    budget = sum(
        stage.train.max_tokens + stage.train.batch_tokens for stage in recipe.target.stages[-2:]
    )
    assert curve[-1]["tokens"] <= budget
    assert curve[0]["loss"] < catalog.load("reference.target_curve")[0]["loss"]


def test_the_pipeline_is_found_and_lists_its_steps_in_order() -> None:
    names = [n.func.__name__ for n in create_pipeline().nodes]
    assert names[0] == "make_corpus"
    assert names[-1] == "write_card"
