"""Small tokenizers with every component that foregate implements, trained here by the tokenizers package."""
import copy
import itertools
import json

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog; the dog sleeps. It's 2024, isn't it? We'll see 1234 of them!",
    "Überall dieselbe alte Leier: schöne Größe, naïve cafés, élan vital und İstanbul. ΑΒΓ αβγ Σίσυφος ΟΔΟΣ",
    "Быстрая коричневая лиса прыгает через ленивую собаку. 人工智能正在改变世界，我们看到了。 こんにちは世界 안녕하세요 세계",
    "def f(x):\n\treturn {'a': x[0] + 1, \"b\": [None] * 2}\n\n\nprint(f(3))  # done   and  more    spaces",
    "one two three four five six seven eight nine ten eleven twelve the there then that this those these",
] * 3
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def sequence(kind, *parts):
    return {"type": "Sequence", {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}[kind]: list(parts)}


def byte_level_base():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return json.loads(tokenizer.to_str())


def character_base(byte_tokens=256):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(byte_tokens)]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=90,
                                                              show_progress=False))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    return data


def changed(base, model=None, **components):
    data = copy.deepcopy(base)
    data.update(components)
    data["model"].update(model or {})
    return data


def byte_level_cases():
    base = byte_level_base()
    for prefix, regex in itertools.product([False, True], repeat=2):
        yield f"gpt2-prefix{prefix}-regex{regex}", changed(
            base, pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": prefix, "use_regex": regex})
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    patterns = [{"Regex": "\\s"}, {"Regex": "[a-m]+"}, {"String": "e"}, {"Regex": "\\s+$|\\p{Lu}|o$"}]
    for (i, pattern), behavior, invert in itertools.product(enumerate(patterns), behaviors, [False, True]):
        yield f"split{i}-{behavior}-invert{invert}", changed(base, pre_tokenizer=sequence(
            "pre_tokenizer", {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}, BYTE_LEVEL))
    for behavior, individual in itertools.product(behaviors, [False, True]):
        yield f"punctuation-{behavior}-digits{individual}", changed(base, pre_tokenizer=sequence(
            "pre_tokenizer", {"type": "Digits", "individual_digits": individual},
            {"type": "Punctuation", "behavior": behavior}, BYTE_LEVEL))
    yield "ignore-merges", changed(base, model={"ignore_merges": True})
    yield "no-pre-tokenizer", changed(base, pre_tokenizer=BYTE_LEVEL)
    yield "post-processors", changed(base, added_tokens=[added(base["model"]["vocab"]["!"], "!")], post_processor={
        "type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                                            "use_regex": True}, template("!", base["model"]["vocab"]["!"])]})
    yield from normalizer_cases(base)
    yield from added_token_cases(base)


def normalizer_cases(base):
    normalizers = {
        "nfc": {"type": "NFC"}, "nfd": {"type": "NFD"}, "nfkc": {"type": "NFKC"}, "nfkd": {"type": "NFKD"},
        "lowercase": {"type": "Lowercase"}, "strip-accents": {"type": "StripAccents"},
        "strip": {"type": "Strip", "strip_left": True, "strip_right": True},
        "strip-left": {"type": "Strip", "strip_left": True, "strip_right": False},
        "strip-right": {"type": "Strip", "strip_left": False, "strip_right": True},
        "prepend": {"type": "Prepend", "prepend": "> "},
        "replace": {"type": "Replace", "pattern": {"String": "the"}, "content": "THE"},
        "replace-nothing": {"type": "Replace", "pattern": {"Regex": "[aeiou]|\\s+$"}, "content": ""},
    }
    normalizers["many"] = sequence("normalizer", normalizers["nfkd"], normalizers["strip-accents"],
                                   normalizers["lowercase"], normalizers["strip"], normalizers["prepend"])
    for name, normalizer in normalizers.items():
        yield name, changed(base, normalizer=normalizer)


def first_free(base):
    """The id that the package gives to the first added token, whatever the file says."""
    return len(base["model"]["vocab"])


def added(token, content, **flags):
    return {"id": token, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": False, **flags}


def template(token, number):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}


def added_token_cases(base):
    contents = ["<a>", "<a><b>", "Dog", "éa", "  ", "ⅫX"]
    lower = {"type": "Lowercase"}
    for flag, normalized in itertools.product(["none", "lstrip", "rstrip", "single_word"], [False, True]):
        flags = {"normalized": normalized} | ({} if flag == "none" else {flag: True})
        tokens = [added(first_free(base) + i, content, **flags) for i, content in enumerate(contents)]
        yield f"added-{flag}-normalized{normalized}", changed(base, added_tokens=tokens, normalizer=lower)


def character_cases():
    base = character_base()
    llama = sequence("normalizer", {"type": "Prepend", "prepend": "▁"},
                     {"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    yield "llama", changed(base, normalizer=llama, pre_tokenizer=None, post_processor=template("<s>", 1))
    for fuse, fallback in itertools.product([False, True], repeat=2):
        yield f"fuse{fuse}-fallback{fallback}", changed(base, normalizer=llama, pre_tokenizer=None, model={
            "fuse_unk": fuse, "byte_fallback": fallback})
    yield "no-unknown", changed(base, pre_tokenizer=None, model={"unk_token": None, "byte_fallback": False})
    yield "characters-ignore-merges", changed(base, pre_tokenizer=None, model={"ignore_merges": True})
    for fuse in (False, True):
        yield f"few-bytes-fuse{fuse}", changed(character_base(0xC0), pre_tokenizer=None, model={"fuse_unk": fuse})
    for scheme, split in itertools.product(["first", "always", "never"], [False, True]):
        metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
        tokens = base["added_tokens"] + [added(first_free(base), "Dog", lstrip=True),
                                         added(first_free(base) + 1, "dog")]
        yield f"metaspace-{scheme}-split{split}", changed(base, pre_tokenizer=metaspace, added_tokens=tokens)
        for behavior in ("Removed", "Isolated"):
            cut = {"type": "Split", "pattern": {"Regex": "[T.]"}, "behavior": behavior, "invert": False}
            yield f"metaspace-{scheme}-split{split}-behind-{behavior}", changed(
                base, pre_tokenizer=sequence("pre_tokenizer", cut, metaspace), added_tokens=tokens)


def cases():
    return dict(itertools.chain(byte_level_cases(), character_cases()))
