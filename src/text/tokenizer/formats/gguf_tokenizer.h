#pragma once

#include <filesystem>

#include "text/tokenizer/tokenizer_file.h"

namespace foregate::text {

/// The tokenizer inside a GGUF file, as the tokenizer.json that it was made of: byte-level BPE
/// (`tokenizer.ggml.model` "gpt2") split as `tokenizer.ggml.pre` names, or SentencePiece's BPE
/// ("llama"). Throws EnvironmentError (missing) or DataError: another model, a split that is not
/// known, a missing key, tables that do not belong together.
TokenizerFile read_gguf_tokenizer(const std::filesystem::path& path);

}  // namespace foregate::text
