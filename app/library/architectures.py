"""The model architectures the pinned llama.cpp knows, and those among them that do not chat.

From `LLM_ARCH_NAMES` in `src/llama-arch.cpp` of llama.cpp 0c1e57098, which llama-cpp-python 0.3.36 contains.
"""

from __future__ import annotations

_NAMES = """
    clip llama llama4 deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bert modern-bert
    nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe
    qwen2vl qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2
    plamo3 codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma4-assistant
    gemma-embedding starcoder2 mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo
    olmo2 olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4
    glm4moe glm-dsa bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe
    rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa chameleon
    wavtokenizer-dec plm bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5
    ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss lfm2 lfm2moe dream
    smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01 hrm_text minimax-m2 minimax-m3 cogvlm rnd1
    pangu-embedded mistral3 eagle3 dflash mistral4 paddleocr mimo2 step35 spark2_5 llama-embed maincoder
    kimi-linear kimi-k3 glm5-next talkie mellum nanbeige qwen3tts pockettts
"""
KNOWN_ARCHITECTURES = frozenset(_NAMES.split())

_TAKE_NOTHING_BACK = """
    mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7 jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h
    nemotron_h_moe qwen3next kimi-linear bailingmoe3 kimi-k3 glm5-next qwen35 qwen35moe qwen4exp deepseek4 minimax-01
"""
CANNOT_TAKE_BACK = frozenset(_TAKE_NOTHING_BACK.split())
"""Recurrent and hybrid models: some layers keep a state that cannot be rolled back to before a token.

From `llm_arch_is_recurrent` and `llm_arch_is_hybrid` of the same source.
"""

_EMBEDDING = (
    "This is an embedding model: it turns text into numbers for searching and does not answer.",
    "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert"
    " gemma-embedding llama-embed",
)
_DRAFT = (
    "This is a draft head: it speeds up the model it was made for and does not answer by itself.",
    "eagle3 dflash gemma4-assistant",
)
_AUDIO = ("This is a speech model: it does not answer in text.", "wavtokenizer-dec qwen3tts pockettts")
_ENCODER = ("This is a text encoder: it does not answer.", "t5encoder")
_ENCODER_DECODER = ("Models with a separate encoder, as T5, cannot be used for chat yet.", "t5")

NOT_FOR_CHAT: dict[str, str] = {
    name: sentence
    for sentence, names in (_EMBEDDING, _DRAFT, _AUDIO, _ENCODER, _ENCODER_DECODER)
    for name in names.split()
}
"""The sentence for each architecture that llama.cpp loads and that cannot chat."""
