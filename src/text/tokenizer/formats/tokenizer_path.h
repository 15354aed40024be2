#pragma once

#include <filesystem>
#include <string>

namespace foregate::text {

/// The file that a model's tokenizer is read from. `model`: a directory with tokenizer.json, or
/// with tiktoken's ranks alone; or the tokenizer's file itself, which a GGUF model is. A directory
/// that has neither gives the path of the tokenizer.json that is missing.
std::filesystem::path tokenizer_path(const std::filesystem::path& model);

/// SHA-256 of that file; of a GGUF file of its header. Throws EnvironmentError if it cannot be
/// read.
std::string tokenizer_digest(const std::filesystem::path& model);

}  // namespace foregate::text
