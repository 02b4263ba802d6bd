"""The upper layers on cached hidden states: they give the encoder's vectors, and only their updates are trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest.text.adapting import upper_layers
from recbole_longinterest.text.adapting.upper_layers import UpperLayers
from recbole_longinterest.text.folder import EncoderError
from tests.text.conftest import TEXTS, encoder, save_bert, save_tokenizer

pytest.importorskip("peft", reason="peft is not installed (extra adapt)")
ITEMS = ["", *TEXTS[:5]]  # row 0 is the padding


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return save_bert(tmp_path / "bert", num_hidden_layers=3)


def upper(folder: Path, layers: int = 1) -> UpperLayers:
    torch.manual_seed(1)
    return UpperLayers(encoder(folder).load(), ITEMS, layers, rank=2)


def shake(layers: UpperLayers) -> None:
    """Updates other than zero."""
    for weight in layers.weights:
        torch.nn.init.normal_(weight, std=0.5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_cached_hidden_states_give_the_vectors_of_the_whole_encoder(bert: Path, layers: int) -> None:
    tuned = upper(bert, layers)
    whole = encoder(bert).encode(ITEMS)
    for items in ([1, 2, 3, 4, 5], [5, 1], [3]):  # batches of other lengths than those of the cache
        np.testing.assert_allclose(tuned.vectors(items).detach().numpy(), whole[items], atol=1e-5)


def test_only_the_updates_of_the_upper_layers_are_trained(bert: Path) -> None:
    tuned = upper(bert)
    shake(tuned)
    tuned.vectors([1, 2, 3]).square().sum().backward()
    names = {name for name, weight in tuned.module.named_parameters() if weight.grad is not None}
    assert names and all("encoder.layer.2." in name and "lora_" in name for name in names)
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in tuned.weights)
    assert not [name for name, _ in tuned.loaded.network.named_parameters() if "encoder.layer.1." in name]


def test_merged_updates_give_the_tuned_vectors(bert: Path) -> None:
    tuned = upper(bert, 2)
    shake(tuned)
    updates = tuned.updates()
    merged = encoder(bert, updates=updates)
    np.testing.assert_allclose(merged.encode(ITEMS[1:]), tuned.vectors([1, 2, 3, 4, 5]).detach(), atol=1e-5)
    assert not np.allclose(merged.encode(ITEMS[1:]), encoder(bert).encode(ITEMS[1:]), atol=0.1)
    assert merged.identity == f"{encoder(bert).identity} {merged.identity.split(' ', 5)[-1]}" != encoder(bert).identity
    again = upper(bert, 2)
    again.load_updates(updates)
    assert all(torch.equal(one, other) for one, other in zip(again.weights, tuned.weights, strict=True))


def test_the_saved_encoder_has_its_lower_layers(bert: Path, tmp_path: Path) -> None:
    tuned = upper(bert)
    tuned.module.train()  # the cache is without dropout, in whichever mode it is made
    tuned.vectors([1])
    assert tuned.module.training
    tuned.module.eval()
    shake(tuned)
    vectors = tuned.vectors([1, 2, 3, 4, 5]).detach()
    apart = tuned.save(save_bert(tmp_path / "written"))
    written = encoder(tmp_path / "written").encode(ITEMS[1:])
    np.testing.assert_allclose(written, vectors, atol=1e-5)
    assert apart is not None and (apart / "adapter_model.safetensors").is_file()


def test_updates_of_another_encoder_are_refused(bert: Path, tmp_path: Path) -> None:
    updates = upper(bert).updates()
    with pytest.raises(EncoderError, match=r"do not fit the text encoder .*Set text_encoder to the encoder that"):
        encoder(save_bert(tmp_path / "short"), updates=updates).encode(["toy"])
    wide = save_bert(tmp_path / "wide", num_hidden_layers=3, hidden_size=16)
    with pytest.raises(EncoderError, match=r"has the shape \[16, 16\]"):
        encoder(wide, updates=updates).encode(["toy"])


def test_what_cannot_be_tuned(bert: Path, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match=r"text_tuning_layers must be at most the 3 layers .*got 4"):
        upper(bert, 4)
    with pytest.raises(EncoderError, match="have no torch Linear to tune"):
        upper(tiny_gpt2)
    monkeypatch.setattr(upper_layers, "HIDDEN_BYTES", 100)
    with pytest.raises(EncoderError, match=r"hidden states \(\d+ tokens of 8 numbers\).*smaller text_max_length"):
        upper(bert).vectors([1])


def test_layers_that_need_the_lower_ones_are_refused(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    folder = tmp_path / "t5"
    save_tokenizer(folder, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")
    torch.manual_seed(0)
    size = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
    T5Model(T5Config(vocab_size=32, pad_token_id=0, **size)).save_pretrained(folder)
    with pytest.raises(EncoderError, match="cannot run without the lower ones"):
        upper(folder).vectors([1])
