"""Pipelines of diffusers as chain and domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from seiko.chains import DiffusionChain
from seiko.chains.schedulers import process_from_scheduler
from seiko.domains.base import Domain
from seiko.domains.image import image_domain
from seiko.domains.image_format import ImageFormat
from seiko.domains.image_latents import VAEDecoder
from seiko.errors import MissingDependencyError, ParameterError, WeightsError
from seiko.networks.adapters import DiffusersNetwork, PromptNetwork
from seiko.networks.lora import LoRA, add_lora

if TYPE_CHECKING:
    from PIL.Image import Image

SUPPORTED = "Stable Diffusion 1.x and 2.x, Stable Diffusion XL, and unconditional ones of a UNet2DModel"


def diffusers_chain(
    model: nn.Module,
    scheduler: Any,
    *,
    event_shape: tuple[int, ...],
    num_steps: int = 20,
    eta: float = 1.0,
    prompts: Mapping[str, Tensor] | None = None,
    negative: Mapping[str, Tensor] | None = None,
    guidance_scale: float = 1.0,
    fixed: Mapping[str, Any] | None = None,
    image_tokens: int | None = None,
    compile: bool | Mapping[str, Any] = False,
) -> DiffusionChain:
    """Any denoiser of diffusers with its scheduler, as a chain.

    Args:
        model: ``UNet2DModel``, ``UNet2DConditionModel``, or a transformer.
        scheduler: Its scheduler, or the scheduler's configuration.
        event_shape: Shape of one state.
        num_steps: Sampling steps.
        eta: Stochasticity in (0, 1]; 1 is DDPM.
        prompts: Embeddings under the denoiser's argument names, leaves [num_prompts, ...]; the chain's
            condition is then the number of a row's prompt. None: the condition is the denoiser's own.
        negative: The same of the negative prompts.
        guidance_scale: Of classifier-free guidance; 1 is none.
        fixed: Arguments of the denoiser that never change.
        image_tokens: Length of an image's token sequence, for flow models with dynamic shifting.
        compile: See `DiffusersNetwork`.

    Raises:
        DeterministicChainError: If eta is 0.
        ParameterError: If the scheduler is not supported or a number is out of range.

    Example:
        >>> import diffusers
        >>> unet = diffusers.UNet2DModel(
        ...     8, 3, 3, block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
        ...     down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        ... )
        >>> chain = diffusers_chain(unet, diffusers.DDPMScheduler(), event_shape=(3, 8, 8), num_steps=5)
        >>> chain.num_steps
        5
    """
    process = process_from_scheduler(scheduler, num_steps, event_shape, eta=eta, image_tokens=image_tokens)
    config = getattr(scheduler, "config", scheduler)
    name = str(config.get("_class_name") or type(scheduler).__name__)
    # Flux multiplies by 1000 itself; the other flow models are told the product.
    scaled_inside = type(model).__name__.startswith("Flux")
    network: nn.Module = DiffusersNetwork(
        model,
        num_train_timesteps=1 if scaled_inside else int(config.get("num_train_timesteps", 1000)),
        flow=name.startswith("FlowMatch"),
        fixed=fixed,
        compile=compile,
    )
    if prompts is not None:
        network = PromptNetwork(network, prompts, negative=negative, guidance_scale=guidance_scale)
    elif guidance_scale != 1:
        raise ParameterError(
            f"A guidance scale of {guidance_scale} needs `prompts` and `negative`.",
            hint="Or wrap a network in `ClassifierFreeGuidance`.",
        )
    return DiffusionChain(network, process)


def load_pipeline(
    source: str | Path | Any,
    *,
    prompts: Sequence[str] = (),
    negative_prompts: str | Sequence[str] | None = None,
    num_steps: int = 20,
    eta: float = 1.0,
    guidance_scale: float = 7.5,
    width: int | None = None,
    height: int | None = None,
    train: LoRA | Literal["all"] = LoRA(),
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    decode: Literal["sliced", "whole", "tiled"] = "sliced",
    embed: Callable[[Tensor], Tensor] | None = None,
    prompt_features: Literal["shared", "separate"] = "shared",
    compile: bool | Mapping[str, Any] = False,
    local_files_only: bool = False,
) -> tuple[DiffusionChain, Domain[Image]]:
    """A pre-trained pipeline of diffusers as a chain, ready to be fine-tuned, and its domain of images.

    The text encoders run once, here, and are not kept.

    Args:
        source: A folder, a name on the hub, or a pipeline that is loaded already (its denoiser is then
            changed in place).
        prompts: What to draw, for pipelines with text; each sample has one of them.
        negative_prompts: What not to draw: one for all, or one for each prompt. None is the pipeline's own.
        num_steps: Sampling steps.
        eta: Stochasticity in (0, 1]; 1 is DDPM.
        guidance_scale: Of classifier-free guidance, both branches in one call; 1 is none.
        width, height: Of the images, in pixels; the pipeline's own by default.
        train: An adapter's settings, or "all" for full fine-tuning.
        dtype: What the denoiser, the text encoders and the decoder compute in. States and divergences are in
            single precision whatever it is.
        device: Where they compute.
        decode: How the autoencoder decodes: see `VAEDecoder`.
        embed, prompt_features: See `image_domain`.
        compile: Regional ``torch.compile``: see `DiffusersNetwork`.
        local_files_only: Never ask the hub.

    Raises:
        WeightsError: If the pipeline cannot be loaded: no such folder, no network, missing weights.
        MissingDependencyError: If diffusers, transformers or peft is not installed.
        DeterministicChainError: If eta is 0.
        ParameterError: If the pipeline or its scheduler is not supported, there are no prompts or too many,
            or one is longer than the text encoder takes.
    """
    stock = _loaded(source, dtype, local_files_only) if isinstance(source, str | Path) else source
    kind = _kind(stock)
    unet = stock.unet.to(device=device, dtype=dtype)
    if kind == "pixels":
        if prompts:
            raise ParameterError(
                f"{type(stock).__name__} takes no prompts; got {len(prompts)}.", hint="Leave them out."
            )
        form = _format(unet, 1, width, height)
        shape, decoder, tables = form.shape, None, {}
        guidance_scale = 1.0
    else:
        decoder = _decoder(stock, decode, device, dtype)
        form = _format(unet, stock.vae_scale_factor, width, height)
        factor = stock.vae_scale_factor
        shape = (unet.config.in_channels, form.height // factor, form.width // factor)
        tables = _embedded(stock, kind, prompts, negative_prompts, guidance_scale, form, device)
    chain = diffusers_chain(
        unet,
        stock.scheduler,
        event_shape=shape,
        num_steps=num_steps,
        eta=eta,
        guidance_scale=guidance_scale,
        compile=compile,
        **tables,
    )
    unet.requires_grad_(train == "all")
    if train != "all":
        add_lora(unet, train)
    domain = image_domain(
        form, decoder=decoder, embed=embed, prompts=prompts, prompt_features=prompt_features
    )
    return chain.to(device), domain


def _loaded(source: str | Path, dtype: torch.dtype, local_files_only: bool) -> Any:
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise MissingDependencyError(
            "Pipelines need the package diffusers, which cannot be imported.",
            hint="Install seiko with the extra `images`: pip install 'seiko[images]'.",
        ) from error
    where = {"local_files_only": local_files_only}
    try:
        parts = DiffusionPipeline.load_config(str(source), **where)
        unused = dict.fromkeys(("safety_checker", "feature_extractor", "image_encoder"))
        unused = {name: value for name, value in unused.items() if name in parts}
        return DiffusionPipeline.from_pretrained(str(source), torch_dtype=dtype, **where, **unused)
    except Exception as error:  # OSError, ValueError, and whatever the hub's client raises without a network
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = (
            "Is every weight file of its `model_index.json` there?"
            if Path(source).exists()
            else "There is no such folder; a name on the hub needs a network, or to have been fetched once."
        )
        raise WeightsError(f"The pipeline {str(source)!r} cannot be loaded: {lines[0]}", hint=hint) from error


def _kind(stock: Any) -> Literal["pixels", "text", "two texts"]:
    """Which of the supported kinds of pipeline it is."""
    unet: Any = getattr(stock, "unet", None)
    name = type(unet).__name__
    if name == "UNet2DModel" and not hasattr(stock, "vae") and not hasattr(stock, "vqvae"):
        if unet.config.class_embed_type is None and unet.config.num_class_embeds is None:
            return "pixels"
    elif name == "UNet2DConditionModel" and hasattr(stock, "vae") and hasattr(stock, "text_encoder"):
        plain = unet.config.in_channels == unet.config.out_channels == stock.vae.config.latent_channels
        if plain and unet.config.time_cond_proj_dim is None:
            if getattr(stock, "text_encoder_2", None) is not None and stock.text_encoder is not None:
                return "two texts"
            if unet.config.addition_embed_type is None and stock.text_encoder is not None:
                return "text"
    raise ParameterError(
        f"The pipeline {type(stock).__name__} is not supported; supported are {SUPPORTED}.",
        hint="Make the chain of its parts: `zoo.diffusers_chain(model, scheduler, ...)` and `image_domain`.",
    )


def _format(unet: Any, factor: int, width: int | None, height: int | None) -> ImageFormat:
    own = unet.config.sample_size
    rows, columns = own if isinstance(own, list | tuple) else (own, own)
    sizes = {"width": width or columns * factor, "height": height or rows * factor}
    for name, size in sizes.items():
        if size % factor:
            raise ParameterError(f"`{name}` must be a multiple of {factor} for this autoencoder; got {size}.")
    grey = factor == 1 and unet.config.in_channels == 1
    return ImageFormat(sizes["width"], sizes["height"], mode="L" if grey else "RGB")


def _decoder(stock: Any, mode: Any, device: Any, dtype: torch.dtype) -> VAEDecoder:
    overflows = dtype == torch.float16 and stock.vae.config.get("force_upcast", False)
    return VAEDecoder(stock.vae.to(device, torch.float32 if overflows else dtype), mode=mode)


def _embedded(
    stock: Any,
    kind: str,
    prompts: Sequence[str],
    negative_prompts: str | Sequence[str] | None,
    guidance_scale: float,
    form: ImageFormat,
    device: Any,
) -> dict[str, Any]:
    """What `diffusers_chain` takes of the prompts; the encoders leave the device when they are done."""
    prompts = _checked_prompts(stock, prompts)
    if isinstance(negative_prompts, str):
        negative_prompts = [negative_prompts] * len(prompts)
    if negative_prompts is not None:
        if len(negative_prompts) != len(prompts):
            raise ParameterError(
                f"There must be one negative prompt, or one for each of {len(prompts)} prompts; got "
                f"{len(negative_prompts)}."
            )
        _checked_prompts(stock, negative_prompts)
    guided = guidance_scale != 1
    encoders = [e for e in (stock.text_encoder, getattr(stock, "text_encoder_2", None)) if e is not None]
    for encoder in encoders:
        encoder.to(device)
    given: dict[str, Any] = {
        "prompt": list(prompts),
        "device": device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": guided,
        "negative_prompt": None if negative_prompts is None else list(negative_prompts),
    }
    with torch.no_grad():
        text, none, *pooled = stock.encode_prompt(**given)
    for encoder in encoders:
        encoder.to("cpu")
    tables = [{"encoder_hidden_states": text}, {"encoder_hidden_states": none}]
    if kind == "two texts":
        ids = text.new_tensor([form.height, form.width, 0, 0, form.height, form.width])
        for table, embedding in zip(tables, pooled, strict=True):
            table["added_cond_kwargs.text_embeds"] = embedding
            table["added_cond_kwargs.time_ids"] = ids.expand(len(prompts), -1)
    return {"prompts": tables[0], "negative": tables[1] if guided else None}


def _checked_prompts(stock: Any, prompts: Sequence[str]) -> Sequence[str]:
    if isinstance(prompts, str):
        raise ParameterError(f"`prompts` must be a list of texts; got the text {prompts!r}.")
    if not prompts:
        raise ParameterError(f"{type(stock).__name__} draws from text; `prompts` must have at least one.")
    for tokenizer in (stock.tokenizer, getattr(stock, "tokenizer_2", None)):
        if tokenizer is None:
            continue
        for prompt in prompts:
            length, most = len(tokenizer(prompt).input_ids), tokenizer.model_max_length
            if length > most:
                raise ParameterError(
                    f"The prompt {prompt[:60]!r} ... has {length} tokens; the text encoder takes {most}, the "
                    "two at its ends among them.",
                    hint="Shorten it: what is beyond would be dropped.",
                )
    return prompts
