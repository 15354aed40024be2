#pragma once

#include <filesystem>

#include "text/tokenizer/tokenizer_file.h"

namespace foregate::text {

/// Whether a file is called as those of tiktoken's ranks are: "*.tiktoken", "tiktoken.model".
bool is_tiktoken_file(const std::filesystem::path& path);

/// A file of ranks, a line "BASE64 RANK" a token, as the byte-level tokenizer.json that does the
/// same. How texts are split before, it does not say: that follows from the model_type of the
/// config.json beside it, or from the file's own name. Its special tokens are those of the
/// tokenizer_config.json beside it. Throws EnvironmentError (missing) or DataError: a line that is
/// no token, a split that does not follow from anything.
TokenizerFile read_tiktoken(const std::filesystem::path& path);

}  // namespace foregate::text
