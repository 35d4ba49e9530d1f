from __future__ import annotations

import pytest
import torch

from image_world import diffusers, generator, pixel_unet, text_unet
from seiko.chain import fork, frozen, path_kl, sample
from seiko.errors import ParameterError, WeightsError
from seiko.networks import LoRA, add_lora, load_lora, save_lora
from seiko.networks.lora import FILE_NAME
from seiko.testing import check_chain
from seiko.testing.chains import perturbed
from seiko.zoo import diffusers_chain


def _chain(lora: LoRA | None = LoRA(rank=2), unet=None):
    unet = unet or pixel_unet()
    if lora is not None:
        add_lora(unet, lora)
    return diffusers_chain(
        unet, diffusers.DDIMScheduler(clip_sample=False), event_shape=(3, 8, 8), num_steps=3
    )


def _bytes(chain, *, trained: bool) -> dict[int, int]:
    """Storage -> bytes of the trained or the frozen parameters."""
    own = [p for p in chain.parameters() if p.requires_grad == trained]
    return {p.data_ptr(): p.numel() * p.element_size() for p in own}


def test_a_new_adapter_changes_no_law():
    ours, plain = (sample(_chain(lora), 2, generator=generator()) for lora in (LoRA(rank=2), None))
    torch.testing.assert_close(ours, plain)


def test_only_the_adapter_is_trained_and_its_size_is_known():
    chain = _chain(LoRA(rank=2))
    trained = [n for n, p in chain.named_parameters() if p.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    layers = 2 * 4 + 4 + 4  # attentions of the down (1), up (2) and middle blocks, four layers each
    assert sum(p.numel() for p in chain.parameters() if p.requires_grad) == layers * 2 * (16 + 16)


def test_three_chains_are_three_adapters_on_one_base():
    pretrained = _chain()
    previous, current = perturbed(pretrained, 0.1, seed=1), perturbed(pretrained, 0.1, seed=2)
    reference = frozen(previous)
    base = _bytes(pretrained, trained=False)
    for chain in (previous, current):
        assert _bytes(chain, trained=False) == base
        assert not _bytes(chain, trained=True).keys() & _bytes(pretrained, trained=True).keys()
    assert _bytes(reference, trained=False).items() >= base.items()
    everything = {}
    for chain in (pretrained, previous, current, reference):
        everything |= _bytes(chain, trained=False) | _bytes(chain, trained=True)
    adapter = sum(_bytes(pretrained, trained=True).values())
    assert sum(everything.values()) <= sum(base.values()) + 4 * adapter
    kl = [
        path_kl(current, other, 2, generator=generator()) for other in (pretrained, reference, fork(current))
    ]
    assert (kl[0] > 0).all() and (kl[1] > 0).all() and (kl[2] == 0).all()


def test_an_adapter_is_single_precision_on_a_base_of_half():
    chain = _chain(unet=pixel_unet().to(torch.bfloat16))
    kinds = {p.requires_grad: p.dtype for p in chain.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    moved = perturbed(chain, 0.3)
    assert (path_kl(moved, chain, 2, generator=generator()) > 0).all()


def test_the_first_weights_come_from_the_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (_chain(LoRA(rank=2, seed=seed)).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    name = next(n for n in one if "lora_A" in n)
    assert torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name])


def test_a_chain_with_an_adapter_keeps_the_rules():
    check_chain(lambda: _chain(unet=pixel_unet()).double(), num_paths=64, perturbation=0.05)


def test_convolutions_can_have_one():
    chain = _chain(LoRA(rank=2, targets=("conv1", "conv2")))
    moved = perturbed(chain, 0.1)
    assert (path_kl(moved, chain, 1, generator=generator()) > 0).all()


def test_an_adapter_is_saved_and_loaded(tmp_path):
    trained, fresh = perturbed(_chain(), 0.2), _chain()
    path = save_lora(trained, tmp_path)
    assert path == tmp_path / FILE_NAME
    load_lora(fresh, tmp_path)
    assert torch.equal(sample(trained, 2, generator=generator()), sample(fresh, 2, generator=generator()))


def test_adapters_of_other_settings_are_refused(tmp_path):
    save_lora(_chain(LoRA(rank=2)), tmp_path)
    for other in (_chain(LoRA(rank=3)), _chain(LoRA(rank=2, targets=("to_q",))), _chain(None)):
        with pytest.raises(WeightsError, match="does not belong"):
            load_lora(other, tmp_path)
    with pytest.raises(WeightsError, match="no weight file"):
        load_lora(_chain(), tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="no adapter"):
        save_lora(_chain(None), tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    path = save_lora(_chain(), tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="safetensors"):
        load_lora(_chain(), tmp_path)


def test_bad_settings_are_refused():
    for options in ({"rank": 0}, {"rank": True}, {"targets": ()}):
        with pytest.raises(ParameterError):
            LoRA(**options)
    with pytest.raises(ParameterError, match="conv1"):
        add_lora(text_unet(), LoRA(targets=("nothing",)))
    unet = pixel_unet()
    add_lora(unet, LoRA())
    with pytest.raises(ParameterError, match="already"):
        add_lora(unet, LoRA())
