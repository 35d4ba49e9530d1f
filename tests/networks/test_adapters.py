from __future__ import annotations

import pytest
import torch

from image_world import diffusers, generator, pixel_unet, seeded, text_unet
from seiko.chain import fork, sample
from seiko.errors import OutOfMemoryError, ParameterError, ShapeError
from seiko.networks import DiffusersNetwork, PromptNetwork
from seiko.testing import check_chain
from seiko.zoo import diffusers_chain


def _draw(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def test_a_call_is_the_denoisers_own_at_the_time_step():
    unet = pixel_unet()
    state, steps = _draw(2, 3, 8, 8), torch.tensor([999, 0])
    ours = DiffusersNetwork(unet)(state, (steps + 1) / 1000)
    torch.testing.assert_close(ours, unet(state, steps).sample)


def test_a_named_condition_reaches_the_denoiser_and_a_dot_goes_down():
    unet = text_unet(
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=8 + 24,
    )
    state, text = _draw(2, 4, 8, 8), _draw(2, 5, 16, seed=1)
    pooled, ids = _draw(2, 8, seed=2), torch.ones(2, 6)
    named = {
        "encoder_hidden_states": text,
        "added_cond_kwargs.text_embeds": pooled,
        "added_cond_kwargs.time_ids": ids,
    }
    ours = DiffusersNetwork(unet)(state, torch.tensor([0.5, 0.5]), named)
    theirs = unet(
        state, 499, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}, return_dict=True
    )
    torch.testing.assert_close(ours, theirs.sample)


def test_a_condition_without_a_name_is_text_or_labels():
    text, state = _draw(2, 5, 16, seed=1), _draw(2, 4, 8, 8)
    unet = text_unet()
    torch.testing.assert_close(
        DiffusersNetwork(unet)(state, torch.ones(2), text), unet(state, 999, text).sample
    )
    labelled, labels = pixel_unet(num_class_embeds=3), torch.tensor([0, 2])
    state = _draw(2, 3, 8, 8)
    torch.testing.assert_close(
        DiffusersNetwork(labelled)(state, torch.ones(2), labels),
        labelled(state, 999, class_labels=labels).sample,
    )


def test_low_precision_stays_inside():
    network = DiffusersNetwork(pixel_unet().to(torch.bfloat16))
    output = network(_draw(1, 3, 8, 8), torch.ones(1))
    assert output.dtype == torch.float32 and network.dtype == torch.bfloat16
    chain = diffusers_chain(network.model, diffusers.DDIMScheduler(), event_shape=(3, 8, 8), num_steps=3)
    assert sample(chain, 2, generator=generator()).dtype == torch.float32


@pytest.mark.parametrize(("kind", "options"), [("epsilon", {}), ("v_prediction", {"num_class_embeds": 4})])
def test_a_pixel_unet_keeps_the_rules_of_chains(kind, options):
    scheduler = diffusers.DDPMScheduler(prediction_type=kind, clip_sample=False)
    labels = torch.arange(4) if options else None

    def make():
        unet = pixel_unet(dropout=0.1, **options).double()
        return diffusers_chain(unet, scheduler, event_shape=(3, 8, 8), num_steps=3).double()

    check_chain(make, condition=labels, num_paths=64, perturbation=0.01)


TRANSFORMERS = {
    "SD3": (
        lambda: diffusers.SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=8,
            pos_embed_max_size=8,
        ),
        (4, 8, 8),
        {"encoder_hidden_states": (5, 16), "pooled_projections": (8,)},
        {},
    ),
    "Flux": (
        lambda: diffusers.FluxTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=8,
            axes_dims_rope=(2, 2, 4),
        ),
        (16, 4),
        {"encoder_hidden_states": (5, 16), "pooled_projections": (8,)},
        {"img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(5, 3)},
    ),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_flow_transformer_keeps_the_rules_of_chains(name):
    make_model, shape, leaves, fixed = TRANSFORMERS[name]
    condition = {leaf: _draw(4, *size, seed=3).double() for leaf, size in leaves.items()}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)

    def make():
        model = seeded(make_model).double()
        return diffusers_chain(model, scheduler, event_shape=shape, num_steps=3, fixed=fixed).double()

    check_chain(make, condition=condition, num_paths=64, perturbation=0.01)


def test_a_learned_variance_is_dropped():
    model = seeded(
        lambda: diffusers.DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=10,
        )
    )
    state, labels = _draw(2, 4, 8, 8), torch.tensor([1, 2])
    ours = DiffusersNetwork(model)(state, torch.full((2,), 0.5), labels)
    theirs = model.eval()(state, torch.tensor([499, 499]), class_labels=labels).sample
    torch.testing.assert_close(ours, theirs[:, :4])


# ---------------------------------------------------------------------------------------------------- prompts


def _prompted(scale: float) -> PromptNetwork:
    tables = [{"encoder_hidden_states": _draw(2, 5, 16, seed=seed)} for seed in (1, 2)]
    return PromptNetwork(DiffusersNetwork(text_unet()), tables[0], negative=tables[1], guidance_scale=scale)


def test_guidance_is_both_branches_of_each_prompt_in_one_call():
    network, calls = _prompted(3.0), []
    network.network.model.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    state, rows = _draw(3, 4, 8, 8), torch.tensor([1, 0, 1])
    ours = network(state, torch.ones(3), rows)
    assert calls == [6]
    given, none = (network.network(state, torch.ones(3), _draw(2, 5, 16, seed=seed)[rows]) for seed in (1, 2))
    torch.testing.assert_close(ours, none + 3 * (given - none), atol=1e-5, rtol=1e-5)


def test_without_guidance_there_are_no_further_rows():
    network, calls = _prompted(1.0), []
    network.network.model.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    network(_draw(3, 4, 8, 8), torch.ones(3), torch.tensor([1, 0, 1]))
    assert calls == [3]


def test_forks_share_the_prompts():
    network = _prompted(3.0)
    twin = fork(network)
    assert twin.given_0 is network.given_0 and twin.none_0 is network.none_0


# -------------------------------------------------------------------------------------------- what is refused


def test_bad_conditions_are_refused():
    network = _prompted(3.0)
    for wrong in (None, torch.ones(3), torch.ones(3, 2, dtype=torch.long), {"prompt": torch.ones(3)}):
        with pytest.raises(ParameterError, match="number of a prompt"):
            network(_draw(3, 4, 8, 8), torch.ones(3), wrong)
    with pytest.raises(ParameterError, match="does not take"):
        DiffusersNetwork(pixel_unet())(_draw(1, 3, 8, 8), torch.ones(1), {"encoder_hidden_states": _draw(1)})
    with pytest.raises(ParameterError, match="needs `negative`"):
        PromptNetwork(DiffusersNetwork(text_unet()), {"x": _draw(1, 2)}, guidance_scale=2.0)
    with pytest.raises(ShapeError, match="same shapes"):
        PromptNetwork(DiffusersNetwork(text_unet()), {"x": _draw(1, 2)}, negative={"x": _draw(1, 3)})


def test_a_denoiser_of_other_channels_is_refused():
    with pytest.raises(ShapeError, match="predict like its state"):
        DiffusersNetwork(pixel_unet(out_channels=1))(_draw(1, 3, 8, 8), torch.ones(1))


def test_running_out_of_memory_names_the_three_knobs(monkeypatch):
    network = DiffusersNetwork(pixel_unet())

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore")

    monkeypatch.setattr(network.model, "forward", full)
    with pytest.raises(OutOfMemoryError) as caught:
        network(_draw(1, 3, 8, 8), torch.ones(1))
    for knob in ("batch_size", "grad_steps", "bfloat16"):
        assert knob in str(caught.value)
    assert "Tried to allocate 9 GiB" in str(caught.value) and "1 rows" in str(caught.value)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    network = DiffusersNetwork(pixel_unet())

    def wrong(*args, **kwargs):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(network.model, "forward", wrong)
    with pytest.raises(RuntimeError, match="multiplied"):
        network(_draw(1, 3, 8, 8), torch.ones(1))


def test_repeated_blocks_are_compiled_and_a_copy_compiles_its_own():
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    unet = text_unet()
    shape = {"event_shape": (4, 8, 8), "num_steps": 3}
    text = torch.randn(2, 5, 16, generator=generator())
    plain = diffusers_chain(unet, diffusers.DDIMScheduler(), **shape)
    state = torch.randn(2, 4, 8, 8, generator=generator())
    expected = plain.transition(state, 1, text).mean
    chain = diffusers_chain(unet, diffusers.DDIMScheduler(), compile={"backend": backend}, **shape)
    assert not graphs
    torch.testing.assert_close(chain.transition(state, 1, text).mean, expected)
    count = len(graphs)
    assert count > 0
    twin = fork(chain)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    changed = twin.transition(state, 1, text).mean
    assert not torch.allclose(changed, expected)  # the copy's own weights, not those it was compiled with
    torch.testing.assert_close(chain.transition(state, 1, text).mean, expected)
    changed.sum().backward()
    assert any(p.grad is not None for p in twin.parameters())
    with pytest.raises(ParameterError, match="no repeated blocks"):
        diffusers_chain(pixel_unet(), diffusers.DDIMScheduler(), event_shape=(3, 8, 8), compile=True)
